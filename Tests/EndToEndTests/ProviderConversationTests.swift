import Foundation
import Security
import TestSupport
import Testing

/// A whole conversation on each kind of channel over the wire: a signed webhook comes in, an agent answers, the provider is called,
/// and what it tells afterwards shows.
@Suite struct ProviderConversationTests {
    private struct Account: Sendable {
        let kind: String
        let credentials: [String: String]
        let inbound: String
        /// What is told of the message of this id.
        let receipt: @Sendable (_ id: String) -> String?
        let status: String
    }

    private static let secret = "an app secret of the tests"
    private static let meta = ["appSecret": secret, "verifyToken": "v"]

    private static let accounts: [Account] = [
        Account(
            kind: "whatsapp",
            credentials: meta.merging(
                ["accessToken": "t", "phoneNumberId": "300100200101", "businessAccountId": "300100200100"],
                uniquingKeysWith: { $1 }
            ),
            inbound: whatsApp(
                #""messages": [{"from": "441632960111", "id": "wamid.IN", "timestamp": "\#(now)", "type": "text", "text": {"body": "Hello?"}}]"#
            ),
            receipt: { whatsApp(#""statuses": [{"id": "\#($0)", "status": "delivered", "timestamp": "\#(now)"}]"#) },
            status: "delivered"
        ),
        Account(
            kind: "facebook",
            credentials: meta.merging(["pageAccessToken": "t", "pageId": "700100200300"], uniquingKeysWith: { $1 }),
            inbound: messenger("page", "700100200300", #""message": {"mid": "m_IN", "text": "Hello?"}"#),
            receipt: { messenger("page", "700100200300", #""delivery": {"mids": ["\#($0)"]}"#) },
            status: "delivered"
        ),
        Account(
            kind: "instagram",
            credentials: meta.merging(
                ["accessToken": "t", "accountId": "17840000000000001"],
                uniquingKeysWith: { $1 }
            ),
            inbound: messenger("instagram", "17840000000000001", #""message": {"mid": "m_IN", "text": "Hello?"}"#),
            receipt: { messenger("instagram", "17840000000000001", #""read": {"mid": "\#($0)"}"#) },
            status: "read"
        ),
        Account(
            kind: "twitter",
            credentials: ["consumerKey": "k", "consumerSecret": secret, "userId": "5550000001", "accessToken": "t"],
            inbound: """
                {"for_user_id": "5550000001", "direct_message_events": [{"type": "message_create", "id": "1800000000000000001",
                 "created_timestamp": "\(now)000", "message_create": {"target": {"recipient_id": "5550000001"},
                 "sender_id": "5550000777", "message_data": {"text": "Hello?"}}}]}
                """,
            receipt: {
                """
                {"for_user_id": "5550000001", "direct_message_mark_read_events": [{"created_timestamp": "\(now)000",
                 "sender_id": "5550000777", "target": {"recipient_id": "5550000001"}, "last_read_event_id": "\($0)"}]}
                """
            },
            status: "read"
        ),
        Account(
            kind: "linkedin",
            credentials: [
                "clientId": "c", "clientSecret": secret, "accessToken": "t",
                "organizationUrn": "urn:li:organization:4004001",
            ],
            inbound: """
                {"type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", "notifications": [{"notificationId": 1, "action": "COMMENT",
                 "organizationalEntity": "urn:li:organization:4004001", "lastModifiedAt": \(now)000,
                 "decoratedGeneratedActivity": {"comment": {"entity": "urn:li:comment:(urn:li:activity:71,72)",
                 "owner": "urn:li:person:ada", "text": "Hello?", "object": "urn:li:activity:71"}}}]}
                """,
            // Nothing is told of comments.
            receipt: { _ in nil },
            status: "sent"
        ),
    ]

    private static var now: Int { Int(Date().timeIntervalSince1970) }

    private static func whatsApp(_ members: String) -> String {
        """
        {"object": "whatsapp_business_account", "entry": [{"id": "300100200100", "changes": [{"field": "messages", "value":
         {"messaging_product": "whatsapp", "metadata": {"phone_number_id": "300100200101"}, \(members)}}]}]}
        """
    }

    private static func messenger(_ object: String, _ us: String, _ members: String) -> String {
        """
        {"object": "\(object)", "entry": [{"id": "\(us)", "time": \(now)000, "messaging": [{"sender": {"id": "7000000000000001"},
         "recipient": {"id": "\(us)"}, "timestamp": \(now)000, \(members)}]}]}
        """
    }

    private static func signature(_ body: String, _ kind: String) -> (String, String) {
        switch kind {
        case "twitter":
            (
                "x-twitter-webhooks-signature",
                "sha256=" + Base64.standard.encode(HMAC.sha256(key: secret, message: body))
            )
        case "linkedin":
            ("X-LI-Signature", Hex.encode(HMAC.sha256(key: secret, message: "hmacsha256=" + body)))
        default: ("X-Hub-Signature-256", "sha256=" + Hex.encode(HMAC.sha256(key: secret, message: body)))
        }
    }

    @Test func everyKindOfChannelCarriesAConversation() async throws {
        let provider = try await StandInProvider()
        let host = try await RunningHost(settings: provider.settings)
        let acme = try await Organisation.signUp(host.api)
        for account in Self.accounts {
            let made = try await acme.api.post(
                "/orgs/\(acme.id)/channels",
                ["type": account.kind, "name": account.kind, "credentials": account.credentials]
            )
            let channel = try #require(made.string("id"), "\(made.text)")
            func tell(_ body: String) async throws {
                let (name, value) = Self.signature(body, account.kind)
                let answer = try await host.api.send(
                    "POST",
                    "/webhook/\(channel)",
                    body: Data(body.utf8),
                    headers: [name: value, "Content-Type": "application/json"]
                )
                #expect(answer.status == 200, "\(account.kind): \(answer.text)")
            }

            try await tell(account.inbound)
            let ticket = try await eventually {
                try await acme.tickets().first { $0["channelId"] as? String == channel }?["id"] as? String
            }
            let sent = try await acme.api.post(
                "/orgs/\(acme.id)/tickets/\(ticket)/messages",
                ["text": "At your service"]
            )
            #expect(sent.status == 201, "\(account.kind): \(sent.text)")
            let external = try await eventually(otherwise: { "\(account.kind): \(host.log)" }) {
                try await acme.messages(of: ticket).first { $0["status"] as? String == "sent" }?["externalId"]
                    as? String
            }
            if let receipt = account.receipt(external) { try await tell(receipt) }
            let status = try await eventually(otherwise: { account.kind }) {
                let messages = try await acme.messages(of: ticket)
                return messages.first { $0["status"] as? String == account.status }.map { _ in messages.count }
            }

            #expect(status == 2, "\(account.kind)")
            let calls = provider.calls.filter { $0.method == "POST" }
            #expect(calls.last?.body.contains("At your service") == true, "\(account.kind)")
        }
        #expect(provider.calls.filter { $0.method == "POST" }.count == Self.accounts.count)
        host.stop()
    }

    /// The provider takes the message in, and the process that sent it dies before the answer comes.
    @Test func aMessageThatWasAcceptedWhileItsSenderDiedIsSentOnce() async throws {
        let provider = try await StandInProvider()
        let host = try await RunningHost(settings: provider.settings)
        let acme = try await Organisation.signUp(host.api)
        let account = Self.accounts[0]
        let made = try await acme.api.post(
            "/orgs/\(acme.id)/channels",
            ["type": account.kind, "name": account.kind, "credentials": account.credentials]
        )
        let channel = try #require(made.string("id"))
        func tell(_ body: String) async throws {
            let (name, value) = Self.signature(body, account.kind)
            _ = try await eventually {
                let answer = try? await host.api.send(  // not up again yet
                    "POST",
                    "/webhook/\(channel)",
                    body: Data(body.utf8),
                    headers: [name: value, "Content-Type": "application/json"]
                )
                return answer?.status == 200 ? true : nil
            }
        }
        try await tell(account.inbound)
        let ticket = try await eventually { try await acme.tickets().first?["id"] as? String }
        // Asking for templates is the schedule's, at a moment of its own: both of the next calls are slow.
        try await provider.answer(#"{"delay": 5, "cut": true}"#, #"{"delay": 5, "cut": true}"#)
        let message = try #require(
            try await acme.api.post("/orgs/\(acme.id)/tickets/\(ticket)/messages", ["text": "Once"]).string("id")
        )
        _ = try await eventually { provider.calls.first { $0.body.contains("Once") } }

        host.kill()
        try await host.start()
        try await tell(
            Self.whatsApp(
                """
                "statuses": [{"id": "wamid.1", "status": "sent", "timestamp": "\(Self.now)",
                 "biz_opaque_callback_data": "msg:\(message)"}]
                """
            )
        )

        _ = try await eventually {
            try await acme.messages(of: ticket).first {
                $0["externalId"] as? String == "wamid.1" && $0["status"] as? String == "sent"
            }
        }
        try await host.becomeIdle()
        #expect(provider.calls.filter { $0.body.contains("Once") }.count == 1)
        host.stop()
    }
}
