import Foundation
import TestSupport
import Testing

@Suite struct ChannelsContractTests {
    struct Kind: Sendable, CustomTestStringConvertible {
        let type: String
        var needed: [String] = []
        var optional: [String] = []
        var ids: Set<String> = []
        var testDescription: String { type }
    }

    static let kinds = [
        Kind(
            type: "whatsapp",
            needed: ["accessToken", "appSecret", "verifyToken", "phoneNumberId", "businessAccountId"],
            ids: ["phoneNumberId", "businessAccountId"]
        ),
        Kind(
            type: "facebook",
            needed: ["pageAccessToken", "appSecret", "verifyToken", "pageId"],
            optional: ["appId"],
            ids: ["pageId", "appId"]
        ),
        Kind(
            type: "instagram",
            needed: ["accessToken", "appSecret", "verifyToken", "accountId"],
            optional: ["pageId"],
            ids: ["accountId", "pageId"]
        ),
        Kind(
            type: "twitter",
            needed: ["consumerKey", "consumerSecret", "userId", "accessToken"],
            optional: ["refreshToken", "clientId", "clientSecret", "accessTokenSecret"],
            ids: ["userId", "clientId"]
        ),
        Kind(
            type: "linkedin",
            needed: ["clientId", "clientSecret", "accessToken", "organizationUrn"],
            optional: ["refreshToken"],
            ids: ["clientId", "organizationUrn"]
        ),
        Kind(type: "mock"),
    ]

    @Test(arguments: kinds)
    func credentialsAreWantedByTypeAndMasked(_ kind: Kind) async throws {
        let acme = try await Contract.admin()
        let names = kind.needed + kind.optional
        let given = Dictionary(uniqueKeysWithValues: names.map { ($0, "value of \($0) 1234") })
        let shown = Dictionary(uniqueKeysWithValues: given.map { ($0, kind.ids.contains($0) ? $1 : "••••1234") })
        func create(_ credentials: [String: Any]) async throws -> APIClient.Answer {
            try await acme.api.post(
                acme.path + "/channels",
                ["type": kind.type, "name": "Main", "credentials": credentials]
            )
        }

        let made = try await create(given)
        let id = made.string("id") ?? ""

        #expect(made.status == 201)
        #expect(
            made.keys == [
                "id", "orgId", "type", "name", "status", "settings", "credentials", "webhookUrl", "createdAt",
                "updatedAt",
            ]
        )
        #expect(made.object["credentials"] as? [String: String] == shown)
        #expect(made.string("webhookUrl")?.hasSuffix("/webhook/\(id)") == true)
        #expect(try await acme.api.get(acme.path + "/channels/\(id)").body == made.body)
        let missing = kind.needed.map { "/credentials/" + $0 }.sorted()
        if !missing.isEmpty { #expect(try await create([:]).problem == (["422"] + missing).joined(separator: " ")) }
        #expect(try await create(given.merging(["foo": "x"]) { $1 }).problem == "422 /credentials/foo")
        for name in kind.needed {
            #expect(try await create(given.merging([name: ""]) { $1 }).problem == "422 /credentials/\(name)")
        }
    }

    @Test func aChangeMergesCredentialsAndSettings() async throws {
        let acme = try await Contract.admin()
        let credentials = [
            "clientId": "id", "clientSecret": "a secret that is long", "accessToken": "eleven-char",
            "organizationUrn": "urn",
            "refreshToken": "another long secret",
        ]
        let made = try await acme.api.post(
            acme.path + "/channels",
            ["type": "linkedin", "name": "Main", "credentials": credentials]
        )
        let channel = acme.path + "/channels/" + (made.string("id") ?? "")
        func put(_ credentials: [String: Any]) async throws -> [String: String]? {
            try await acme.api.put(channel, ["credentials": credentials]).object["credentials"] as? [String: String]
        }

        let changed = try await put(["accessToken": "twelve-chars", "refreshToken": NSNull()])
        let echoed = try await put(changed ?? [:])

        #expect(made.string("credentials.accessToken") == "••••")
        #expect(
            changed == [
                "clientId": "id", "clientSecret": "••••long", "accessToken": "••••hars", "organizationUrn": "urn",
            ]
        )
        #expect(echoed == changed)
        #expect(try await acme.audited(made.string("id") ?? "") == ["channel.create", "channel.update"])
        #expect(
            try await acme.api.put(channel, ["credentials": ["accessToken": NSNull()]]).problem
                == "422 /credentials/accessToken"
        )
        #expect(try await acme.api.put(channel, ["type": "mock"]).problem == "422 /type")
        #expect(try await acme.api.put(channel, ["status": "error"]).problem == "422 /status")
        #expect(try await acme.api.put(channel, ["id": "x", "webhookUrl": "x"]).problem == "422 /id /webhookUrl")
        let audit = try await acme.api.get(acme.path + "/audit-logs").text
        #expect(!audit.contains("secret that") && !audit.contains("twelve-chars"))
    }

    @Test func aDeletedChannelIsGoneAndWhatWasQueuedFails() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel(settings: ["outcome": ["retry": 1000]])
        let path = acme.path + "/channels/" + channel
        let ticket = try await acme.ticketPath(on: channel, ["message": ["text": "later"]])
        _ = try await acme.api.webhook(channel, from: "+12345678901", "x", id: "1")

        let deleted = try await acme.api.delete(path)
        let hook = try await acme.api.webhook(channel, from: "+12345678901", "x", id: "2")

        #expect(deleted.status == 204)
        #expect(deleted.body.isEmpty)
        #expect(hook.problem == "404")
        #expect(try await acme.api.get(path).problem == "404")
        #expect(try await acme.api.put(path, ["name": "x"]).problem == "404")
        #expect(try await acme.api.delete(path).problem == "404")
        #expect(try await acme.api.get(acme.path + "/channels").data.isEmpty)
        let messages = try await acme.api.get(ticket + "/messages")
        #expect(messages.string("data.0.status") == "failed")
        #expect(messages.string("data.0.error.code") == "channel_gone")
        #expect(try await acme.api.post(ticket + "/messages", ["text": "x"]).problem == "409")
        #expect(
            try await acme.api.post(acme.path + "/tickets", ["channelId": channel, "contact": ["handle": "a"]]).problem
                == "422 /channelId"
        )
    }

    @Test func aDisabledChannelNeitherSendsNorReceives() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        let ticket = try await acme.ticketPath(on: channel)
        let path = acme.path + "/channels/" + channel

        #expect(try await acme.api.put(path, ["status": "disabled"]).string("status") == "disabled")
        #expect(try await acme.api.post(ticket + "/messages", ["text": "x"]).problem == "409")
        #expect(try await acme.api.webhook(channel, from: "+12345678901", "x", id: "1").problem == "404")
        #expect(try await acme.api.get("/webhook/\(channel)").problem == "404")
        #expect(try await acme.api.put(path, ["status": "active"]).string("status") == "active")
        #expect(try await acme.api.post(ticket + "/messages", ["text": "x"]).status == 201)
    }

    @Test func whatWaitedForAChannelInErrorIsSentOnceItIsMended() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel(settings: ["outcome": "channel"])
        let path = acme.path + "/channels/" + channel
        let ticket = try await acme.ticketPath(on: channel, ["message": ["text": "hello"]])
        func status(_ path: String, _ key: String) async throws -> String? { try await acme.api.get(path).string(key) }

        _ = try await eventually { try await status(path, "status") == "error" ? true : nil }
        let queued = try await status(ticket + "/messages", "data.0.status")
        let received = try await acme.api.webhook(channel, from: "+12345678901", "x", id: "1")
        _ = try await acme.api.put(path, ["status": "active", "settings": ["outcome": "ok"]])

        #expect(queued == "queued")
        #expect(received.status == 200)
        _ = try await eventually { try await status(ticket + "/messages", "data.0.status") == "delivered" ? true : nil }
    }
}
