import Foundation
import Functions
import Helpdesk
import Postgres
import Testing

@Suite struct PurgeExpiredTests {
    @Test func deletesWhatIsPastItsTimeAndNothingElse() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let kept = try world.caller(try await world.logIn(jane.email), email: jane.email)
            let stranger = try await world.admin()
            _ = try await world.owner.run([
                "UPDATE sessions SET expires_at = now() WHERE id = \(jane.session)",
                "INSERT INTO events (org_id, type, entity_id, at) VALUES (\(jane.organisation), 'old', \(UUID()), '2020-01-01')",
                "INSERT INTO events (org_id, type, entity_id) VALUES (\(jane.organisation), 'new', \(UUID()))",
            ])

            try await world.runSchedule("purge-expired")

            #expect(
                try await Set(world.column("SELECT id::text FROM sessions"))
                    == [kept.session.uuidString.lowercased(), stranger.session.uuidString.lowercased()]
            )
            #expect(try await world.column("SELECT count(*)::text FROM refresh_tokens") == ["2"])
            #expect(try await world.column("SELECT count(*)::text FROM refresh_directory") == ["2"])
            #expect(try await world.column("SELECT type FROM events") == ["new"])
        }
    }
}
