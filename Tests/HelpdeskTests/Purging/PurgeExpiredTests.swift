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
            let web = try await world.mock(jane)
            _ = try await world.owner.run([
                "UPDATE sessions SET expires_at = now() WHERE id = \(jane.session)",
                "INSERT INTO events (org_id, type, entity_id, at) VALUES (\(jane.organisation), 'old', \(UUID()), '2020-01-01')",
                "INSERT INTO events (org_id, type, entity_id) VALUES (\(jane.organisation), 'new', \(UUID()))",
                """
                WITH c AS (INSERT INTO contacts (org_id, name) VALUES (\(jane.organisation), 'Kim') RETURNING id)
                INSERT INTO contact_identities (org_id, channel_id, kind, value, contact_id, changed_at)
                SELECT \(jane.organisation), \(web)::uuid, 'former', x.number, c.id, now() - x.age
                  FROM c, (VALUES ('+4915550001', interval '40 days'), ('+4915550002', '20 days')) AS x (number, age)
                """,
            ])

            try await world.runSchedule("purge-expired")

            #expect(
                try await Set(world.column("SELECT id::text FROM sessions"))
                    == [kept.session.uuidString.lowercased(), stranger.session.uuidString.lowercased()]
            )
            #expect(try await world.column("SELECT count(*)::text FROM refresh_tokens") == ["2"])
            #expect(try await world.column("SELECT count(*)::text FROM refresh_directory") == ["2"])
            #expect(try await world.column("SELECT type FROM events WHERE type IN ('old', 'new')") == ["new"])
            #expect(try await world.column("SELECT value FROM contact_identities") == ["+4915550002"])
        }
    }
}
