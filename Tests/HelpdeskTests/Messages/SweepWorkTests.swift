import Foundation
import Functions
import Helpdesk
import Postgres
import Queue
import Testing

@Suite struct SweepWorkTests {
    @Test func addsTheJobsOfTicketsThatWaitedTooLong() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let (old, new) = (try await world.ticket(jane, on: web), try await world.ticket(jane, on: web))
            for id in [old, new] { _ = try await world.send("x", id, as: jane) }
            _ = try await world.owner.query(
                "UPDATE messages SET created_at = now() - interval '1 minute' WHERE ticket_id = \(old)::uuid"
            )
            let before = try await world.queued("outbound")
            guard let sweep = Registry.functions.first(where: { $0.name == "sweep-work" }),
                case .schedule(let run) = sweep.hosted
            else { Issue.record("there is no sweep"); return }

            try await run(world.workContext("sweep-work"))

            let after = try await world.queued("outbound")
            #expect(after.dropFirst(before.count).map { $0["ticketId"] } == [.string(old)])
        }
    }
}
