import Foundation
import Functions
import Postgres
import Testing

@Suite struct CreateTicketTests {
    @Test func opensATicketWithAMessageThatWaitsToBeSent() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            let reply = try await world.call(
                "create-ticket",
                as: jane,
                body: [
                    "channelId": .string(web),
                    "contact": ["name": "Kim", "phone": "0049 (155) 500-01", "email": "kim@example.com"],
                    "subject": "The parcel", "priority": "urgent", "tags": ["b", "a", "b"],
                    "assigneeId": .string(jane.user.uuidString), "message": ["text": "Hello"],
                ]
            )

            #expect(reply.status == 201)
            #expect(reply["number"] == 1)
            #expect(reply["status"] == "open")
            #expect(reply["priority"] == "urgent")
            #expect(reply["tags"] == ["b", "a"])
            #expect(reply["contact.phone"] == "+4915550001")
            #expect(reply["assignee"] == ["id": .string(jane.user.uuidString.lowercased()), "name": "Jane Doe"])
            #expect(reply["window"] == .null)
            #expect(reply["unreadCount"] == 0)
            let shown = try await world.show(reply.text("id"), as: jane)
            #expect(shown["messages.0.text"] == "Hello")
            #expect(shown["messages.0.status"] == "queued")
            #expect(
                shown["messages.0.author"] == [
                    "type": "user", "id": .string(jane.user.uuidString.lowercased()), "name": "Jane Doe",
                ]
            )
            #expect(
                try await world.queued("outbound")
                    == [["orgId": .string("\(jane.organisation)"), "ticketId": .string(reply.text("id"))]]
            )
            #expect(try await world.audited(jane.organisation) == ["auth.signup", "channel.create", "ticket.create"])
            #expect(try await world.events(jane.organisation) == ["ticket.created", "message.created"])
        }
    }

    @Test func findsTheContactByPhoneAndEmailOnAnyChannelAndByHandleOnItsOwn() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let (web, other) = (try await world.mock(jane), try await world.mock(jane))
            try await world.receive(web, .init(text: "hi", handle: "Kim"))

            let contacts: [(String, JSON)] = [
                (other, ["phone": "+49 155 50001"]), (web, ["handle": "KIM", "email": "kim@example.com"]),
                (other, ["email": "KIM@example.com"]), (other, ["handle": "kim"]),
            ]
            for (channel, contact) in contacts {
                _ = try await world.ticket(jane, on: channel, [.init("contact", contact)])
            }

            #expect(
                try await world.column(
                    "SELECT count(*) FROM tickets GROUP BY contact_id ORDER BY count(*)"
                ) == ["1", "4"]
            )
        }
    }

    @Test func twoAtOnceMakeOneContactAndDifferentNumbers() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<12 { group.addTask { _ = try await world.ticket(jane, on: web) } }
                try await group.waitForAll()
            }

            #expect(try await world.column("SELECT count(*) FROM contacts") == ["1"])
            #expect(
                try await world.column("SELECT count(DISTINCT number) || ' ' || max(number) FROM tickets") == ["12 12"]
            )
        }
    }

    @Test func theContactsNextMessageGoesToTheNewestTicket() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "one"))
            let newest = try await world.ticket(jane, on: web)

            try await world.receive(web, .init(text: "two"))

            #expect(try await world.show(newest, as: jane)["messages.0.text"] == "two")
        }
    }

    @Test(
        arguments: [
            (["contact": ["phone": "+4915550001"]], "/channelId is required"),
            (
                ["channelId": "01936f5e-7a00-7000-8000-000000000001", "contact": ["phone": "+4915550001"]],
                "/channelId is not a channel of this organisation"
            ),
            (["channelId": "WEB"], "/contactId is required without a contact"),
            (["channelId": "WEB", "contact": ["name": "Kim"]], "/contact needs a phone, a handle or an email"),
            (
                ["channelId": "WEB", "contactId": "01936f5e-7a00-7000-8000-000000000001"],
                "/contactId is not a contact of this organisation"
            ),
            (
                ["channelId": "WEB", "contact": ["phone": "1"]],
                "/contact/phone must be a phone number: + and 7 to 15 digits"
            ),
            (
                [
                    "channelId": "WEB", "contact": ["phone": "+4915550001"],
                    "assigneeId": "01936f5e-7a00-7000-8000-000000000001",
                ],
                "/assigneeId is not an active member"
            ),
            (
                ["channelId": "WEB", "contact": ["phone": "+4915550001"], "message": [:]],
                "/message/text is required without a template"
            ),
        ] as [(JSON, String)]
    )
    func refuses(_ body: JSON, because fault: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let members = (body.members ?? []).map { $0.value == "WEB" ? JSON.Member($0.name, .string(web)) : $0 }

            let reply = try await world.call("create-ticket", as: jane, body: .object(members))

            #expect(reply.status == 422)
            #expect(reply.faults == [fault])
            #expect(try await world.column("SELECT count(*) FROM tickets") == ["0"])
            #expect(try await world.column("SELECT count(*) FROM contacts") == ["0"])
        }
    }

    @Test func nullIsAsGoodAsAbsent() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            let reply = try await world.call(
                "create-ticket",
                as: jane,
                body: [
                    "channelId": .string(web), "contactId": nil, "assigneeId": nil, "tags": nil,
                    "contact": ["phone": "+4915550001", "handle": nil], "message": ["text": "Hello", "template": nil],
                ]
            )

            #expect(reply.status == 201)
        }
    }

    @Test func writesToNobodyOverADisabledChannel() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            _ = try await world.call("update-channel", as: jane, path: ["channelId": web], body: ["status": "disabled"])

            let reply = try await world.call(
                "create-ticket",
                as: jane,
                body: ["channelId": .string(web), "contact": ["phone": "+4915550001"], "message": ["text": "Hello"]]
            )

            #expect(reply.status == 409)
            #expect(try await world.column("SELECT count(*) FROM tickets") == ["0"])
        }
    }
}
