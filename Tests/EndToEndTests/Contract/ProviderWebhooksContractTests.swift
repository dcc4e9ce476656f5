import Foundation
import Postgres
import Security
import TestSupport
import Testing

/// A WhatsApp number that is connected, spoken to as Meta does.
@Suite struct ProviderWebhooksContractTests {
    private static let secret = "an app secret of the tests"

    private func number(of acme: Organisation) async throws -> String {
        let credentials = [
            "accessToken": "0123456789abcdef", "appSecret": Self.secret, "verifyToken": "a verify token",
            "phoneNumberId": "300100200101", "businessAccountId": "300100200100",
        ]
        let answer = try await acme.api.post(
            acme.path + "/channels",
            ["type": "whatsapp", "name": "Phone", "credentials": credentials]
        )
        guard answer.status == 201, let id = answer.string("id") else { throw UnexpectedAnswer(answer) }
        return id
    }

    private func post(_ body: String, to channel: String, signedBy secret: String = secret) async throws
        -> APIClient.Answer
    {
        let digest = Hex.encode(HMAC.sha256(key: secret, message: body))
        let headers = ["Content-Type": "application/json", "X-Hub-Signature-256": "sha256=" + digest]
        return try await Contract.host().api.send("POST", "/webhook/\(channel)", bytes: body, headers: headers)
    }

    private func body(_ value: String, field: String = "messages") -> String {
        #"{"object":"whatsapp_business_account","entry":[{"id":"300100200100","changes":[{"field":"\#(field)","#
            + #""value":{"messaging_product":"whatsapp","metadata":{"phone_number_id":"300100200101"},\#(value)}}]}]}"#
    }

    private func text(_ text: String, id: String) -> String {
        #"{"from":"441632960111","id":"\#(id)","timestamp":"1763805600","type":"text","text":{"body":"\#(text)"}}"#
    }

    @Test func theHandshakeIsAnsweredWithItsChallengeAlone() async throws {
        let acme = try await Contract.admin()
        let channel = try await number(of: acme)
        let path = "/webhook/\(channel)?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="

        let right = try await acme.api.get(path + "a%20verify%20token")

        #expect(right.status == 200 && right.text == "1158201444")
        #expect(right.headers["content-type"]?.hasPrefix("text/plain") == true)
        #expect(try await acme.api.get(path + "another").problem == "403")
        #expect(try await acme.api.get("/webhook/\(channel)").problem == "403")
    }

    @Test func aSignatureComesBeforeTheFormat() async throws {
        let acme = try await Contract.admin()
        let channel = try await number(of: acme)
        let good = body(#""messages":[\#(text("hi", id: "a"))]"#)

        #expect(try await acme.api.send("POST", "/webhook/\(channel)", bytes: "{").problem == "401")
        #expect(try await acme.api.send("POST", "/webhook/\(channel)", bytes: good).problem == "401")
        #expect(try await post(good, to: channel, signedBy: "another").problem == "401")
        #expect(try await post("{", to: channel).problem == "400")
        #expect(try await post(#"{"object":"page","entry":[]}"#, to: channel).problem == "400")
        #expect(try await post(body(#""messages":[]"#), to: channel).text == #"{"received":0}"#)
        #expect(try await acme.tickets().isEmpty)
    }

    @Test func aThousandMessagesInOneWebhookAreAnsweredAndStored() async throws {
        let acme = try await Contract.admin()
        let channel = try await number(of: acme)
        let database = try await Contract.host().database
        let texts = (1...1000).map { text("number \($0)", id: "thousand-\($0)") }.joined(separator: ",")

        let answer = try await post(body(#""messages":[\#(texts),7,{"id":"x"}]"#), to: channel)

        #expect(answer.text == #"{"received":1002}"#)
        _ = try await eventually(within: .seconds(60)) {
            let rows = try await database.rows(
                "SELECT text FROM messages WHERE channel_id = \(channel)::uuid ORDER BY accepted_at, id"
            )
            return rows.count == 1000 ? rows : nil
        }
        let ordered = try await database.rows(
            "SELECT text FROM messages WHERE channel_id = \(channel)::uuid ORDER BY accepted_at, id"
        ).map { try $0.get("text", as: String.self) }
        #expect(ordered == (1...1000).map { "number \($0)" })
        #expect(try await acme.tickets().count == 1)
    }

    @Test func aConversationIsTakenInOnceWhateverComesTwice() async throws {
        let acme = try await Contract.admin()
        let channel = try await number(of: acme)
        let database = try await Contract.host().database
        let inbound = body(#""messages":[\#(text("hello", id: "in-1")),{"type":"text"}]"#)
        let echo = body(
            #""message_echoes":[{"to":"441632960111","id":"out-1","timestamp":"1763805620","type":"text","text":{"body":"hi"}}]"#,
            field: "smb_message_echoes"
        )
        let statuses = body(
            #""statuses":[{"id":"out-1","status":"read","timestamp":"1763805700"},{"id":"out-1","status":"delivered","timestamp":"1763805612"}]"#
        )
        func messages() async throws -> [[String: Any]] {
            guard let ticket = try await acme.tickets().first?["id"] as? String else { return [] }
            return try await acme.messages(of: ticket)
        }
        func words(_ messages: [[String: Any]]) -> [String] {
            messages.map { "\($0["direction"] ?? "") \($0["text"] ?? "") \($0["status"] ?? "")" }
        }

        #expect(try await post(inbound, to: channel).text == #"{"received":2}"#)
        _ = try await eventually { try await messages().count == 1 ? true : nil }
        #expect(try await post(echo, to: channel).text == #"{"received":1}"#)
        _ = try await eventually { try await messages().count == 2 ? true : nil }
        #expect(try await post(statuses, to: channel).text == #"{"received":2}"#)
        let end = ["inbound hello received", "outbound hi read"]
        _ = try await eventually { words(try await messages()) == end ? true : nil }
        for body in [statuses, echo, inbound] { #expect(try await post(body, to: channel).status == 200) }
        try await Contract.host().becomeIdle(["inbound", "changes"])

        #expect(words(try await messages()) == end)
        #expect(try await acme.tickets().count == 1)
        // What couldn't be read stood beside a message and is kept.
        let kept = try await database.rows(
            "SELECT DISTINCT reason FROM unprocessed_events WHERE channel_id = \(channel)::uuid"
        )
        #expect(try kept.map { try $0.get("reason", as: String.self) } == ["a message without an id"])
    }
}
