import Foundation
import Functions
import Postgres
import Testing

@Suite struct SendMessageTests {
    @Test func anAnswerReopensCountsAsTheFirstAndLeavesNothingUnread() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "Help", id: "m1"))
            let id = try await world.call("list-tickets", as: jane).text("data.0.id")
            let question = try await world.show(id, as: jane).text("messages.0.id")
            _ = try await world.call("close-ticket", as: jane, path: ["ticketId": id])

            let reply = try await world.call(
                "send-message",
                as: joe,
                path: ["ticketId": id],
                body: [
                    "text": "Here 🎉", "replyTo": .string(question),
                    "attachments": [["type": "image", "url": "https://example.com/a.png"]],
                ]
            )
            let second = try await world.send("And more", id, as: joe)

            #expect(reply.status == 201)
            #expect(reply["status"] == "queued")
            #expect(reply["direction"] == "outbound")
            #expect(reply["replyTo"] == .string(question))
            #expect(reply["author.name"] == "Joe Bloggs")
            #expect(
                reply["attachments.0"]?.members?.sorted { $0.name < $1.name }
                    == [
                        .init("mimeType", nil), .init("name", nil), .init("size", nil), .init("type", "image"),
                        .init("url", "https://example.com/a.png"),
                    ]
            )
            let ticket = try await world.show(id, as: jane)
            #expect(ticket["status"] == "open")
            #expect(ticket["unreadCount"] == 0)
            #expect(ticket["firstResponseAt"] == reply["createdAt"])
            #expect(ticket["lastMessageAt"] == second["createdAt"])
            #expect(ticket["messages"]?.array?.map { $0["text"] } == ["Help", "Here 🎉", "And more"])
            #expect(
                try await world.column(
                    "SELECT changes::text FROM audit WHERE action = 'message.send' ORDER BY created_at"
                )
                    == [#"{"status": {"to": "open", "from": "closed"}}"#, "{}"]
            )
            #expect(try await world.queued("outbound").count == 2)
        }
    }

    @Test func aNoteChangesNothingOfTheTicket() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "Help"))
            let id = try await world.call("list-tickets", as: jane).text("data.0.id")
            _ = try await world.call("close-ticket", as: jane, path: ["ticketId": id])
            _ = try await world.call("update-channel", as: jane, path: ["channelId": web], body: ["status": "disabled"])
            let before = try await world.call("list-tickets", as: jane)

            let reply = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: ["text": "Rude", "note": true]
            )

            #expect(reply.status == 201)
            #expect(reply["direction"] == "note")
            #expect(reply["status"] == "sent")
            #expect(reply["sentAt"] != .null)
            #expect(try await world.call("list-tickets", as: jane) == before)
            #expect(try await world.audited(jane.organisation).last == "message.note")
            #expect(try await world.queued("outbound") == [])
        }
    }

    @Test(
        arguments: [
            ([:], "/text is required without a template, an attachment or a macro"),
            (["text": ""], "/text must have 1 to 4096 characters, not 0"),
            (["macroId": "01936f5e-7a00-7000-8000-000000000001"], "/macroId is not a macro of this organisation"),
            (
                ["text": "x", "replyTo": "01936f5e-7a00-7000-8000-000000000001"],
                "/replyTo is not a message of this ticket"
            ),
            (
                ["template": ["name": "a", "language": "en", "components": ["\0"]]],
                "/template/components must not contain U+0000 or numbers out of range"
            ),
            (["note": true, "template": ["name": "a", "language": "en"]], "/template can't be part of a note"),
            (["text": "x", "txt": 1], "/txt is not a known member"),
        ] as [(JSON, String)]
    )
    func refuses(_ body: JSON, because fault: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane))

            let reply = try await world.call("send-message", as: jane, path: ["ticketId": id], body: body)

            #expect(reply.status == 422)
            #expect(reply.faults == [fault])
            #expect(try await world.column("SELECT count(*) FROM messages") == ["0"])
        }
    }

    @Test func outsideWhatsAppsWindowOnlyATemplateLeaves() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let phone = try await world.call("create-channel", as: jane, body: .whatsApp).text("id")
            let id = try await world.ticket(jane, on: phone)

            let never = try await world.send("Hello", id, as: jane)
            let template = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: ["template": ["name": "hello", "language": "en"]]
            )
            try await world.receive(phone, .init(text: "Hi", providerAt: Date().addingTimeInterval(-86_000)))
            let inside = try await world.send("Hello", id, as: jane)
            _ = try await world.owner.query(
                "UPDATE conversations SET last_inbound_provider_at = now() - interval '25 hours'"
            )
            let late = try await world.send("Hello", id, as: jane)
            let note = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: ["text": "x", "note": true]
            )

            #expect([never, template, inside, late, note].map(\.status) == [422, 201, 201, 422, 201])
            #expect(never.faults.first?.hasPrefix("/template is required") == true)
        }
    }

    @Test func refusesADeletedOrDisabledChannel() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.ticket(jane, on: web)
            _ = try await world.call("update-channel", as: jane, path: ["channelId": web], body: ["status": "disabled"])
            let disabled = try await world.send("Hello", id, as: jane)
            _ = try await world.call("delete-channel", as: jane, path: ["channelId": web])
            let deleted = try await world.send("Hello", id, as: jane)

            #expect([disabled, deleted].map(\.status) == [409, 409])
        }
    }

    @Test func manyAtOnceHaveOneOrder() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane))

            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<30 {
                    group.addTask { _ = try await world.send("\(number)", id, as: jane) }
                }
                try await group.waitForAll()
            }

            #expect(try await world.column("SELECT count(DISTINCT accepted_at) FROM messages") == ["30"])
        }
    }
}
