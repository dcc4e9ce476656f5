import Foundation
import Functions
import Postgres
import Testing

@Suite struct SummariseAuditLogsTests {
    @Test func countsByActionAndActor() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            for _ in 0..<2 { _ = try await world.logIn(jane.email) }
            _ = try await world.logIn(jane.email, "wrong")

            let reply = try await world.call("summarise-audit-logs", as: jane)

            #expect(reply["total"] == 4)
            #expect(reply["byAction.0"] == ["action": "auth.login", "count": 2])
            #expect(
                reply["byActor.0"]
                    == ["actorId": .string(jane.user.uuidString.lowercased()), "name": "Jane Doe", "count": 3]
            )
            #expect(reply["byActor.1"] == ["actorId": nil, "name": nil, "count": 1])
        }
    }
}
