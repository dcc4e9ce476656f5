import Foundation
import TestSupport
import Testing

/// What a host logs at its most talkative, while everything that is secret passes through it.
@Suite struct LogSecrecyTests {
    @Test func theLogHoldsNoPasswordTokenKeyOrText() async throws {
        let host = try await RunningHost(settings: ["LOG_LEVEL": "trace"])
        let acme = try await Organisation.signUp(host.api)
        let path = "/orgs/\(acme.id)"
        var secrets = [
            "correct horse battery", "metrics-token-of-the-tests", "a secret of the tests, long enough for HS256",
        ]
        func keep(_ answer: APIClient.Answer, _ members: String...) {
            secrets += members.compactMap(answer.string)
        }

        let logIn = try await host.api.post("/auth/login", ["email": acme.email, "password": "correct horse battery"])
        keep(logIn, "accessToken", "refreshToken")
        _ = try await host.api.post("/auth/login", ["email": acme.email, "password": "wrong-password-marker"])
        keep(
            try await host.api.post("/auth/refresh", ["refreshToken": logIn.string("refreshToken") ?? ""]),
            "accessToken",
            "refreshToken"
        )
        _ = try await host.api.with(token: "garbage-token-marker").get("/auth/me")
        let invite = try await acme.api.post("/orgs/users/invites", ["email": "new@example.com", "role": "agent"])
        let token = invite.string("inviteUrl")?.components(separatedBy: "token=").last ?? ""
        secrets.append(token)
        keep(
            try await host.api.post(
                "/auth/accept-invite",
                ["token": token, "name": "New", "password": "invited-password-marker"]
            ),
            "accessToken",
            "refreshToken"
        )
        _ = try await acme.api.post(
            "/auth/change-password",
            ["currentPassword": "correct horse battery", "newPassword": "changed-password-marker"]
        )
        keep(try await acme.api.post(path + "/api-keys", ["name": "machine", "role": "agent"]), "key")
        keep(
            try await acme.api.post(
                path + "/webhook-endpoints",
                ["url": "https://example.com/?q=endpoint-query-marker", "events": ["message.created"]]
            ),
            "secret"
        )
        let names = ["accessToken", "appSecret", "verifyToken", "phoneNumberId", "businessAccountId"]
        let credentials = Dictionary(uniqueKeysWithValues: names.map { ($0, "credential-marker-\($0)") })
        let whatsApp = try await acme.api.post(
            path + "/channels",
            ["type": "whatsapp", "name": "W", "credentials": credentials]
        )
        secrets.append("credential-marker")
        let channel = try await acme.channel()
        let challenge = "hub.mode=subscribe&hub.challenge=1&hub.verify_token=credential-marker-verifyToken"
        _ = try await host.api.get("/webhook/\(whatsApp.string("id") ?? "")?\(challenge)")
        _ = try await host.api.webhook(channel, from: "+15550001", "inbound-text-marker", id: "1")
        _ = try await host.api.post("/webhook/\(channel)", ["message": "broken-webhook-marker"])
        try await host.becomeIdle(within: .seconds(60))
        let ticket = try #require(try await acme.tickets().first?["id"] as? String)
        _ = try await acme.api.post("\(path)/tickets/\(ticket)/messages", ["text": "outbound-text-marker"])
        _ = try await acme.api.post("\(path)/tickets/\(ticket)/messages", ["text": "note-marker", "note": true])
        _ = try await acme.api.post("\(path)/tickets/\(ticket)/messages", ["txt": "fault-marker", "text": 7])
        _ = try await acme.api.get("\(path)/tickets?q=search-marker")
        try await host.becomeIdle(within: .seconds(60))
        host.stop()

        let log = host.log
        secrets += [
            "wrong-password-marker", "garbage-token-marker", "invited-password-marker", "changed-password-marker",
            "endpoint-query-marker", "inbound-text-marker", "broken-webhook-marker", "outbound-text-marker",
            "note-marker",
            "fault-marker", "search-marker",
        ]
        #expect(secrets.count >= 24)
        #expect(log.contains("/auth/login"), "nothing is logged, so nothing is shown")
        for secret in secrets where log.contains(secret) {
            let line = log.split(separator: "\n").first { $0.contains(secret) } ?? ""
            Issue.record("the log holds \(secret): \(line.prefix(400))")
        }
    }
}
