import Foundation
import Functions
import Postgres
import Redis
import Testing

@Suite struct ReceiveWebhookTests {
    @Test func queuesTheMessageForItsOrganisation() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            let reply = try await world.call(
                "receive-webhook",
                path: ["channelId": web],
                body: [
                    "senderPhone": "+1 (234) 567-890", "senderName": "John\0 Doe", "message": "Hello\0, I need help",
                    "messageId": "msg-123", "metadata": ["a": 9_007_199_254_740_993], "other": true,
                ]
            )
            let jobs = try await world.queued("inbound")
            let outcomes = try await world.work("receive-message", jobs)

            #expect(reply.status == 200)
            #expect(reply.json == ["received": 1])
            #expect(outcomes == [.done()])
            #expect(
                try await world.column(
                    "SELECT concat_ws('|', text, external_id, author_name, metadata ->> 'a', attachments) FROM messages"
                ) == ["Hello, I need help|msg-123|John Doe|9007199254740993|[]"]
            )
            #expect(try await world.column("SELECT phone FROM contacts") == ["+1234567890"])
        }
    }

    @Test func queuesForAnOrganisationWhatItWillStoreLater() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            _ = try await world.call(
                "receive-webhook",
                path: ["channelId": web],
                body: ["senderHandle": "kim", "message": "", "messageId": "msg-123"]
            )
            _ = try await world.work("receive-message", try await world.queued("inbound"))

            let ticket = try await world.call("list-tickets", as: jane)
            #expect(ticket["data.0.contact.handle"] == "kim")
            #expect(try await world.column("SELECT attachments -> 0 ->> 'type' FROM messages") == ["unsupported"])
        }
    }

    @Test(arguments: [
        ("{", "The body is not the JSON object of a mock channel."),
        ("[]", "The body is not the JSON object of a mock channel."),
        (#"{"message": "x"}"#, "The body has neither senderPhone nor senderHandle."),
        (#"{"senderPhone": "12", "message": "x"}"#, "The body has a senderPhone that is no phone number."),
        (#"{"senderPhone": "+1234567890", "message": 5}"#, "The body has a message of another type."),
        (#"{"senderHandle": "kim", "messageId": "1"}"#, "The body has no message."),
        (#"{"senderHandle": "kim", "message": "x"}"#, "The body has no messageId."),
        (#"{"senderHandle": "kim", "message": "x", "messageId": 1}"#, "The body has a messageId of another type."),
        (
            #"{"senderHandle": "kim", "message": "x", "messageId": "1", "metadata": []}"#,
            "The body has metadata that is no object."
        ),
    ])
    func refuses(_ body: String, because detail: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            let reply = try await world.post(body, to: web)

            #expect(reply.status == 400)
            #expect(reply.detail == detail)
        }
    }

    @Test func knowsNoDeletedDisabledOrUnknownChannel() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let (disabled, deleted) = (try await world.mock(jane), try await world.mock(jane))
            _ = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": disabled],
                body: ["status": "disabled"]
            )
            _ = try await world.call("delete-channel", as: jane, path: ["channelId": deleted])

            for id in [disabled, deleted, UUID().uuidString.lowercased()] {
                #expect(try await world.post(#"{"senderHandle": "kim"}"#, to: id).status == 404)
                #expect(try await world.call("verify-webhook", path: ["channelId": id]).status == 404)
            }
        }
    }

    @Test func checksTheSignatureBeforeTheFormat() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let phone = try await world.call("create-channel", as: jane, body: .whatsApp).text("id")
            let web = try await world.mock(jane)

            let reply = try await world.post("{", to: phone)

            #expect(reply.status == 401)
            #expect(reply.detail == "The signature is missing or wrong.")
            #expect(try await world.call("verify-webhook", path: ["channelId": phone]).status == 403)
            #expect(try await world.call("verify-webhook", path: ["channelId": web]).status == 200)
            #expect(try await world.queued("inbound") == [])
        }
    }
}

extension World {
    /// A webhook of these very bytes.
    fileprivate func post(_ body: String, to channel: String) async throws -> Reply {
        try await call("receive-webhook", path: ["channelId": channel], raw: Array(body.utf8))
    }
}
