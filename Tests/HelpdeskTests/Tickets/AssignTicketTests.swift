import Foundation
import Functions
import Postgres
import Testing

@Suite struct AssignTicketTests {
    @Test func assignsOnceAndUnassigns() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let id = try await world.ticket(jane, on: try await world.mock(jane))

            var assignees: [JSON?] = []
            for user in [.string(joe.user.uuidString), .string(joe.user.uuidString), nil, nil] as [JSON] {
                let reply = try await world.call(
                    "assign-ticket",
                    as: jane,
                    path: ["ticketId": id],
                    body: ["userId": user]
                )
                assignees.append(reply["assignee"] == .null ? .null : reply["assignee.name"])
            }

            #expect(assignees == ["Joe Bloggs", "Joe Bloggs", .null, .null])
            #expect(try await world.audited(jane.organisation).filter { $0 == "ticket.assign" }.count == 2)
        }
    }

    @Test func refusesWhoIsNoActiveMember() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let bob = try await world.admin("Other")
            let joe = try await world.agent(of: jane)
            _ = try await world.owner.query("UPDATE users SET status = 'deactivated' WHERE id = \(joe.user)")
            let id = try await world.ticket(jane, on: try await world.mock(jane))

            for user in [joe.user, bob.user, UUID()] {
                let reply = try await world.call(
                    "assign-ticket",
                    as: jane,
                    path: ["ticketId": id],
                    body: ["userId": .string(user.uuidString)]
                )
                #expect(reply.status == 422)
                #expect(reply.faults == ["/userId is not an active member"])
            }
        }
    }
}
