import Foundation
import Postgres
import Security
import TestSupport
import Testing

/// Outgoing webhooks, from the change to somebody else's server.
@Suite struct WebhookEndpointTests {
    /// A host that may reach this machine, as `runner up` lets it.
    private static let running = Task { try await RunningHost(settings: ["EGRESS_ALLOW": "127.0.0.0/8"]) }

    private static func admin() async throws -> Organisation {
        let api = try await running.value.api
        return try await Contract.line.wait { try await Organisation.signUp(api) }
    }

    /// An endpoint at a path of a receiver, and its secret's bytes.
    private static func endpoint(
        of organisation: Organisation,
        _ url: String,
        _ events: [String] = ["ticket.created"]
    ) async throws -> (path: String, secret: String) {
        let answer = try await organisation.api.post(
            organisation.path + "/webhook-endpoints",
            ["url": url, "events": events]
        )
        guard answer.status == 201, let id = answer.string("id"), let secret = answer.string("secret") else {
            throw UnexpectedAnswer(answer)
        }
        return (organisation.path + "/webhook-endpoints/" + id, secret)
    }

    private static func signature(of request: WebhookReceiver.Request, by secret: String) -> String {
        let key = Base64.standard.decode(secret.dropFirst(6)) ?? []
        let text =
            "\(request.headers["webhook-id"] ?? "").\(request.headers["webhook-timestamp"] ?? "").\(request.body)"
        return "v1," + Base64.standard.encode(HMAC.sha256(key: key, message: Array(text.utf8)))
    }

    @Test func sendsWhatHappensSignedAndOnlyWhatWasAskedFor() async throws {
        let receiver = try await WebhookReceiver()
        let organisation = try await Self.admin()
        let channel = try await organisation.channel()
        _ = try await organisation.ticket(on: channel)
        let (path, secret) = try await Self.endpoint(of: organisation, receiver.url + "/ok")

        let ticket = try await organisation.ticket(on: channel, ["subject": "A parcel", "message": ["text": "Hello"]])

        let delivered = try await eventually(within: .seconds(90)) {
            try await organisation.api.get(path + "/deliveries?status=delivered").data.first
        }
        let request = try #require(receiver.requests.first)
        #expect(receiver.requests.count == 1)
        #expect(request.headers["webhook-id"] == delivered["id"] as? String)
        #expect(request.headers["webhook-signature"] == Self.signature(of: request, by: secret))
        #expect(request.headers["content-type"] == "application/json")
        let body = try #require(try JSONSerialization.jsonObject(with: Data(request.body.utf8)) as? [String: Any])
        #expect(body["type"] as? String == "ticket.created")
        #expect((body["data"] as? [String: Any])?["id"] as? String == ticket.string("id"))
        #expect(delivered["responseStatus"] as? Int == 204)
        #expect(delivered["attempts"] as? Int == 1)
    }

    @Test func triesAgainAndCanBeReplayed() async throws {
        let receiver = try await WebhookReceiver()
        let organisation = try await Self.admin()
        let (path, _) = try await Self.endpoint(of: organisation, receiver.url + "/flaky")

        _ = try await organisation.ticket(on: organisation.channel())

        let delivered = try await eventually(within: .seconds(90)) {
            try await organisation.api.get(path + "/deliveries?status=delivered").data.first
        }
        let id = try #require(delivered["id"] as? String)
        #expect(delivered["attempts"] as? Int == 2)
        let replayed = try await organisation.api.post(path + "/deliveries/\(id)/replay")
        #expect(replayed.status == 202)
        #expect(replayed.string("status") == "pending")
        _ = try await eventually(within: .seconds(90)) { receiver.requests.count >= 3 ? true : nil }
        let ids: [String] = receiver.requests.compactMap { $0.headers["webhook-id"] }
        #expect(Set(ids) == Set([id]))
    }

    @Test func disablesWhoSaysThatItIsGoneAndNotesIt() async throws {
        let receiver = try await WebhookReceiver()
        let organisation = try await Self.admin()
        let (path, _) = try await Self.endpoint(of: organisation, receiver.url + "/gone")
        let channel = try await organisation.channel()

        _ = try await organisation.ticket(on: channel)

        let endpoint = try await eventually(within: .seconds(90)) {
            let answer = try await organisation.api.get(path)
            return answer.string("status") == "disabled" ? answer : nil
        }
        #expect(endpoint.string("statusReason") == "The endpoint answered 410: it is gone.")
        let id = try #require(endpoint.string("id"))
        #expect(try await organisation.audited(id) == ["webhook_endpoint.create", "webhook_endpoint.update"])
        let delivery = try #require(try await organisation.api.get(path + "/deliveries?status=failed").data.first)
        let refused = try await organisation.api.post(path + "/deliveries/\(delivery["id"] as? String ?? "")/replay")
        #expect(refused.problem == "409")
        let revived = try await organisation.api.put(path, ["status": "active"])
        #expect(revived.string("status") == "active")
        #expect(revived.object["statusReason"] is NSNull)
    }

    @Test func disablesWhoHasFailedForThreeDays() async throws {
        let receiver = try await WebhookReceiver()
        let organisation = try await Self.admin()
        let (path, _) = try await Self.endpoint(of: organisation, receiver.url + "/fail")
        let id = path.split(separator: "/").last.map(String.init) ?? ""
        let database = try await Self.running.value.database
        _ = try await database.rows(
            "UPDATE webhook_endpoints SET failing_since = now() - interval '73 hours' WHERE id = \(id)::uuid"
        )

        _ = try await organisation.ticket(on: organisation.channel())

        let endpoint = try await eventually(within: .seconds(90)) {
            let answer = try await organisation.api.get(path)
            return answer.string("status") == "disabled" ? answer : nil
        }
        #expect(endpoint.string("statusReason") == "Every delivery failed for three days.")
    }

    @Test func aRotatedSecretSignsAndForADayTheOldOneToo() async throws {
        let receiver = try await WebhookReceiver()
        let organisation = try await Self.admin()
        let (path, old) = try await Self.endpoint(of: organisation, receiver.url + "/ok")

        let new = try #require(try await organisation.api.post(path + "/rotate-secret").string("secret"))
        _ = try await organisation.ticket(on: organisation.channel())

        let request = try await eventually(within: .seconds(90)) { receiver.requests.first }
        let both = [Self.signature(of: request, by: new), Self.signature(of: request, by: old)]
        #expect(new != old)
        #expect(request.headers["webhook-signature"] == both.joined(separator: " "))
        #expect(try await !organisation.api.get(path).text.contains("whsec_"))
    }

    @Test func deliversWhatACrashLeft() async throws {
        let host = try await RunningHost(settings: ["EGRESS_ALLOW": "127.0.0.0/8"])
        let receiver = try await WebhookReceiver()
        let organisation = try await Organisation.signUp(host.api)
        let (path, _) = try await Self.endpoint(of: organisation, receiver.url + "/ok")
        let channel = try await organisation.channel()

        var tickets: Set<String> = []
        for _ in 0..<10 { tickets.insert(try await organisation.ticket(on: channel).string("id") ?? "") }
        host.kill()
        try await host.start()

        _ = try await eventually(within: .seconds(180)) {
            try await organisation.api.get(path + "/deliveries?status=delivered").data.count == 10 ? true : nil
        }
        let told = receiver.requests.compactMap { request -> String? in
            // What is no JSON is told as none.
            let body = try? JSONSerialization.jsonObject(with: Data(request.body.utf8)) as? [String: Any]
            return (body?["data"] as? [String: Any])?["id"] as? String
        }
        #expect(Set(told) == tickets)
    }

    @Test(arguments: [
        "http://127.0.0.1/x", "http://10.0.0.1/x", "http://169.254.169.254/latest", "http://[::1]/x",
        "https://user:secret@example.com/x",
    ])
    func refusesAnAddressThatIsNotPublic(_ url: String) async throws {
        let organisation = try await Contract.bystander()

        let answer = try await organisation.api.post(
            organisation.path + "/webhook-endpoints",
            ["url": url, "events": ["ticket.created"]]
        )

        #expect(answer.problem == "422 /url")
    }

    @Test func aNameThatLeadsHomeIsNeverAsked() async throws {
        let receiver = try await WebhookReceiver()
        let organisation = try await Contract.admin()
        let (path, _) = try await Self.endpoint(of: organisation, "http://localhost:\(receiver.port)/ok")

        _ = try await organisation.ticket(on: organisation.channel())

        let delivery = try await eventually(within: .seconds(90)) {
            try await organisation.api.get(path + "/deliveries").data.first { $0["error"] is String }
        }
        #expect(delivery["error"] as? String == "localhost is not at a public address")
        #expect(receiver.requests == [])
    }

    @Test func aChangeThatChangesNothingWritesNothing() async throws {
        let organisation = try await Contract.admin()
        let (path, _) = try await Self.endpoint(of: organisation, "https://hooks.example.com/a")
        let id = path.split(separator: "/").last.map(String.init) ?? ""

        let changed = try await organisation.api.put(path, ["description": "Warehouse"])
        let same = try await organisation.api.put(path, ["description": "Warehouse", "events": ["ticket.created"]])
        let cleared = try await organisation.api.put(path, ["description": NSNull()])
        let deleted = try await organisation.api.delete(path)

        let statuses: [Int] = [changed.status, same.status, cleared.status, deleted.status]
        #expect(statuses == [200, 200, 200, 204])
        #expect(cleared.object["description"] is NSNull)
        #expect(try await organisation.api.get(path).problem == "404")
        let verbs = ["create", "update", "update", "delete"].map { "webhook_endpoint." + $0 }
        #expect(try await organisation.audited(id) == verbs)
    }
}
