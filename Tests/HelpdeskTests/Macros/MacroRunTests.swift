import Foundation
import Functions
import Postgres
import Testing

/// A message that is made of a macro, and what the macro does to the ticket.
@Suite struct MacroRunTests {
    @Test func sendsItsTextAndAppliesItsActionsAsOneChange() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let ticket = try await world.ticket(jane, on: try await world.mock(jane), [.init("tags", ["old"])])
            let macro = try await world.macro(
                jane,
                "Bye {{contact.name}}",
                [
                    ["type": "set_status", "value": "closed"], ["type": "set_priority", "value": "urgent"],
                    ["type": "add_tag", "value": "done"], ["type": "add_tag", "value": "old"],
                    ["type": "assign", "value": .string("\(joe.user)")],
                ]
            )
            let before = try await world.events(jane.organisation).count

            let reply = try await world.run(macro, on: ticket, as: joe)

            let shown = try await world.show(ticket, as: jane)
            #expect(reply.status == 201)
            #expect(reply["text"] == "Bye Kim")
            #expect(shown["status"] == "closed")
            #expect(shown["priority"] == "urgent")
            #expect(shown["tags"] == ["old", "done"])
            #expect(shown["assignee.id"] == .string("\(joe.user)".lowercased()))
            #expect(shown["firstResponseAt"] == reply["createdAt"])
            let audit = try await world.column("SELECT changes::text FROM audit WHERE action = 'message.send'")
            let changes = try JSON.parse(audit.first.flatMap { $0 } ?? "")
            #expect(changes["status"] == ["to": "closed", "from": "open"])
            #expect(changes["priority"] == ["to": "urgent", "from": "normal"])
            #expect(changes["tags"] == ["to": ["old", "done"], "from": ["old"]])
            #expect(changes["assigneeId"]?["from"] == .null)
            #expect(try await world.audited(jane.organisation).last == "message.send")
            #expect(
                try await world.events(jane.organisation).dropFirst(before)
                    == ["message.created", "ticket.updated", "ticket.updated"]
            )
            #expect(
                try await world.column(
                    """
                    SELECT payload #>> '{status,to}' || ' ' || (payload ->> 'assigneeId') FROM events
                     WHERE payload ? 'status' AND type = 'ticket.updated'
                    """
                ) == ["closed \(joe.user)".lowercased()]
            )
            #expect(try await world.queued("outbound").count == 1)
        }
    }

    @Test func onANoteItChangesTheTicketAndReopensNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let ticket = try await world.ticket(jane, on: try await world.mock(jane))
            _ = try await world.call("close-ticket", as: jane, path: ["ticketId": ticket])
            let tagging = try await world.macro(jane, "Note {{ticket.number}}", [["type": "add_tag", "value": "seen"]])

            let reply = try await world.run(tagging, on: ticket, as: jane, [.init("note", true)])

            let shown = try await world.show(ticket, as: jane)
            #expect(reply["direction"] == "note")
            #expect(reply["text"] == "Note 1")
            #expect(shown["status"] == "closed")
            #expect(shown["tags"] == ["seen"])
            #expect(shown["firstResponseAt"] == .null)
            #expect(try await world.audited(jane.organisation).last == "message.note")
            #expect(try await world.queued("outbound") == [])
        }
    }

    @Test func onAClosedTicketTheReopeningAndItsStatusAreOneChange() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let ticket = try await world.ticket(jane, on: try await world.mock(jane))
            let pending = try await world.macro(jane, "x", [["type": "set_status", "value": "pending"]])
            let closing = try await world.macro(jane, "x", [["type": "set_status", "value": "closed"]], name: "Close")
            _ = try await world.call("close-ticket", as: jane, path: ["ticketId": ticket])

            _ = try await world.run(closing, on: ticket, as: jane)
            let closed = try await world.show(ticket, as: jane)
            _ = try await world.run(pending, on: ticket, as: jane)
            let waiting = try await world.show(ticket, as: jane)

            #expect(closed["status"] == "closed" && closed["closedAt"] != .null)
            #expect(waiting["status"] == "pending" && waiting["closedAt"] == .null)
            #expect(
                try await world.column(
                    "SELECT changes::text FROM audit WHERE action = 'message.send' ORDER BY created_at"
                )
                    == ["{}", #"{"status": {"to": "pending", "from": "closed"}}"#]
            )
        }
    }

    @Test func aTextGivenReplacesTheMacros() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let ticket = try await world.ticket(jane, on: try await world.mock(jane))
            let macro = try await world.macro(jane, "From the macro", [["type": "add_tag", "value": "t"]])

            let reply = try await world.run(macro, on: ticket, as: jane, [.init("text", "My own")])

            #expect(reply["text"] == "My own")
            #expect(try await world.show(ticket, as: jane)["tags"] == ["t"])
        }
    }

    @Test func whatItCantDoLeavesNothingBehind() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let person: JSON = ["handle": "kim", "name": .string(String(repeating: "é", count: 200))]
            let tags: JSON = .array((0..<20).map { .string("t\($0)") })
            let ticket = try await world.ticket(
                jane,
                on: try await world.mock(jane),
                [.init("contact", person), .init("tags", tags)]
            )
            let long = String(repeating: "x", count: 4000) + "{{contact.name}}"
            let macros = [
                try await world.macro(jane, " {{contact.email}}\n", name: "blank"),
                try await world.macro(jane, long, name: "long"),
                try await world.macro(jane, "x", [["type": "add_tag", "value": "t20"]], name: "tags"),
                try await world.macro(jane, "x", [["type": "assign", "value": .string("\(joe.user)")]], name: "gone"),
            ]
            _ = try await world.owner.query("UPDATE users SET status = 'deactivated' WHERE id = \(joe.user)")

            var faults: [[String]] = []
            for macro in macros { faults.append(try await world.run(macro, on: ticket, as: jane).faults) }

            #expect(
                faults == [
                    ["/macroId gives an empty text: its variables have no values here"],
                    ["/macroId gives a text of 4200 characters once filled, more than 4096"],
                    ["/macroId would give the ticket more than 20 tags"],
                    ["/macroId assigns to somebody who is not an active member"],
                ]
            )
            #expect(try await world.column("SELECT count(*) FROM messages") == ["0"])
            #expect(try await world.audited(jane.organisation).filter { $0 == "message.send" } == [])
        }
    }

    @Test func ofManyAtOnceEachTagIsAddedOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let ticket = try await world.ticket(jane, on: try await world.mock(jane))
            var macros: [String] = []
            for number in 0..<5 {
                macros.append(
                    try await world.macro(
                        jane,
                        "x",
                        [["type": "add_tag", "value": .string("t\(number)")]],
                        name: "\(number)"
                    )
                )
            }

            try await withThrowingTaskGroup(of: Int.self) { group in
                for macro in macros + macros {
                    group.addTask { try await world.run(macro, on: ticket, as: jane).status }
                }
                for try await status in group { #expect(status == 201) }
            }

            let tags = try await world.show(ticket, as: jane)["tags"]?.array?.compactMap(\.string) ?? []
            #expect(tags.sorted() == ["t0", "t1", "t2", "t3", "t4"])
            #expect(
                try await world.column("SELECT count(*) FROM audit WHERE changes ? 'tags' AND action = 'message.send'")
                    == ["5"]
            )
        }
    }
}
