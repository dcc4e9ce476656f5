import Foundation
import Postgres
import Testing

@testable import Schema

/// 5,000 contacts of one organisation among as many of another.
@Suite struct ContactListTests {
    private static let crowd = Task {
        let (world, neighbour) = try await (World(), World())
        for each in [world, neighbour] {
            _ = try await each.query(
                """
                INSERT INTO contacts (org_id, name, phone, created_at)
                SELECT \(each.org), 'Person ' || n, '+49155' || lpad(n::text, 6, '0'), now() - make_interval(mins => n)
                  FROM generate_series(1, 5000) AS n
                """
            )
        }
        _ = try await world.database.owner.query("ANALYZE contacts")
        return world
    }

    private func plan(_ rows: PostgresRows) throws -> String {
        try rows.map { try $0.get("QUERY PLAN", as: String.self) }.joined(separator: "\n")
    }

    @Test(arguments: ["", "AND (created_at, id) < (now() - interval '2 days', '01936f5e-7a00-7000-8000-000000000001')"])
    func listsAPageByItsIndex(_ beyond: String) async throws {
        let world = try await Self.crowd.value

        let rows = try await world.query(
            """
            EXPLAIN (COSTS OFF)
            SELECT id, name FROM contacts
             WHERE org_id = \(world.org) AND gone_at IS NULL \(raw: SQL(stringLiteral: beyond))
             ORDER BY created_at DESC, id DESC LIMIT 26
            """
        )

        let plan = try plan(rows)
        #expect(plan.contains("contacts_by_creation"), "\(plan)")
        #expect(!plan.contains("Sort"), "\(plan)")
    }

    @Test func findsAPageAfterTheOneBefore() async throws {
        let world = try await Self.crowd.value

        func page(_ after: PostgresRow?) async throws -> [PostgresRow] {
            Array(
                try await world.query(
                    """
                    SELECT c.id, c.created_at::text AS at
                      FROM search_contacts(
                               'pers', NULL, \(after?.get("at", as: String.self))::timestamptz,
                               \(after?.get("id", as: UUID.self))::uuid, 2000
                           ) s
                      JOIN contacts c ON c.org_id = \(world.org) AND c.id = s.contact_id
                     ORDER BY c.created_at DESC, c.id DESC
                    """
                )
            )
        }
        var found: [PostgresRow] = []
        repeat {
            let next = try await page(found.last)
            found += next
            if next.count < 2000 { break }
        } while found.count < 10_000

        #expect(found.count == 5000)
        let ids = try found.map { try $0.get("id", as: UUID.self) }
        #expect(Set(ids).count == 5000)
    }
}
