import Foundation
import Functions
import Postgres
import Testing

@Suite struct UpdateTicketTests {
    @Test func changesWhatIsGivenAndRecordsIt() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane), [.init("subject", "Old")])

            let reply = try await world.call(
                "update-ticket",
                as: jane,
                path: ["ticketId": id],
                body: ["subject": nil, "priority": "high", "tags": ["x", "y"]]
            )

            #expect(reply["subject"] == .null)
            #expect(reply["priority"] == "high")
            #expect(reply["tags"] == ["x", "y"])
            #expect(reply["status"] == "open")
            let changes = try await world.column("SELECT changes::text FROM audit WHERE action = 'ticket.update'")
            #expect(
                try JSON.parse(changes[0] ?? "")
                    == [
                        "tags": ["to": ["x", "y"], "from": []], "subject": ["to": nil, "from": "Old"],
                        "priority": ["to": "high", "from": "normal"],
                    ]
            )
        }
    }

    @Test func closingAndReopeningAreActionsOfTheirOwn() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane))

            var states: [JSON?] = []
            for status in ["closed", "closed", "pending", "open"] as [JSON] {
                let reply = try await world.call(
                    "update-ticket",
                    as: jane,
                    path: ["ticketId": id],
                    body: ["status": status]
                )
                states.append(reply["closedAt"] == .null ? reply["status"] : "closed")
            }

            #expect(states == ["closed", "closed", "pending", "open"])
            #expect(
                try await world.audited(jane.organisation).suffix(3) == [
                    "ticket.close", "ticket.reopen", "ticket.update",
                ]
            )
        }
    }

    @Test func whatChangesNothingWritesNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane), [.init("tags", ["x"])])
            let before = try await world.show(id, as: jane)
            let events = try await world.events(jane.organisation)

            let bodies: [JSON] = [[:], ["status": "open", "priority": "normal", "tags": ["x", "x"], "subject": nil]]
            for body in bodies {
                #expect(
                    try await world.call("update-ticket", as: jane, path: ["ticketId": id], body: body).status == 200
                )
            }

            #expect(try await world.show(id, as: jane) == before)
            #expect(try await world.events(jane.organisation) == events)
            #expect(try await world.audited(jane.organisation).last == "ticket.create")
        }
    }

    @Test func closeIsIdempotent() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane))

            let first = try await world.call("close-ticket", as: jane, path: ["ticketId": id])
            let second = try await world.call("close-ticket", as: jane, path: ["ticketId": id])

            #expect(first["status"] == "closed")
            #expect(first == second)
            #expect(try await world.audited(jane.organisation).filter { $0 == "ticket.close" }.count == 1)
        }
    }

    @Test func anotherOrganisationsTicketIsNone() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let bob = try await world.admin("Other")
            let id = try await world.ticket(jane, on: try await world.mock(jane))

            let calls: [(String, JSON?)] = [
                ("get-ticket", nil), ("update-ticket", ["status": "closed"]), ("close-ticket", nil),
                ("read-ticket", nil),
                ("assign-ticket", ["userId": nil]), ("list-messages", nil), ("send-message", ["text": "x"]),
            ]
            for (function, body) in calls {
                let reply = try await world.call(function, as: bob, path: ["ticketId": id], body: body)
                #expect(reply.status == 404, "\(function)")
                #expect(reply.detail == "There is no such ticket.")
            }
            #expect(try await world.show(id, as: jane)["status"] == "open")
        }
    }
}
