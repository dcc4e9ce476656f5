import Foundation
import Functions
import Postgres
import Testing

@testable import Helpdesk

/// Pages of an organisation of 6,000 tickets beside 300 of one ticket each, by plans that were made for all of them where one plan will do.
@Suite struct TicketPlanTests {
    private static let filters: [(name: String, set: @Sendable (inout TicketFilter, Example) -> Void)] = [
        ("none", { _, _ in }),
        ("open", { filter, _ in filter.statuses = ["open"] }),
        ("closed", { filter, _ in filter.statuses = ["closed"] }),
        ("urgent", { filter, _ in filter.priorities = [3] }),
        ("channel", { filter, example in filter.channels = [Channel.ID(example.channel)] }),
        ("agent", { filter, example in filter.assignee = .user(User.ID(example.agent)) }),
        ("nobody", { filter, _ in filter.assignee = .nobody }),
        ("contact", { filter, example in filter.contact = Contact.ID(example.contact) }),
        ("tag", { filter, _ in filter.tags = ["common"] }),
        ("created", { filter, _ in filter.createdFrom = .instant(Date().addingTimeInterval(-10_800)) }),
        ("rare tag", { filter, _ in filter.tags = ["rare"] }),
        (
            "several",
            { filter, example in
                filter.statuses = ["open", "pending"]
                filter.priorities = [2, 3]
                filter.channels = [Channel.ID(example.channel)]
            }
        ),
    ]

    struct Example: Sendable {
        let channel: UUID
        let agent: UUID
        let contact: UUID
    }

    @Test func readAPageAndNotTheOrganisation() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let example = try await populate(world, jane)
            try await world.services.postgres.transaction(
                opening: [
                    "SELECT enter_organisation(\(jane.organisation))", "SET LOCAL plan_cache_mode = force_generic_plan",
                ],
                timeout: .seconds(60)
            ) { connection in
                for (name, set) in Self.filters {
                    for sort in TicketFilter.Sort.allCases {
                        var filter = TicketFilter()
                        filter.sort = sort
                        set(&filter, example)
                        let page = try PageRequest(limit: nil, cursor: nil, scope: "", key: [])
                        let plan = try await plan(of: filter.statement(in: jane.organisation, page), connection)
                        let most = plan.compactMap(rows).max() ?? 0
                        #expect(
                            (1..<1_000).contains(most),
                            "\(most) rows, \(name) by \(sort):\n\(plan.joined(separator: "\n"))"
                        )
                    }
                }
            }
        }
    }

    /// As the server plans it: once for all values, where the statement doesn't ask for a plan of its own.
    private func plan(of statement: SQL, _ connection: PostgresConnection) async throws -> [String] {
        let mode: SQL = statement.isPlannedForItsValues ? "force_custom_plan" : "force_generic_plan"
        let arguments = statement.parameters.map { $0.text.map { "'" + $0.replacing("'", with: "''") + "'" } ?? "NULL" }
        let called = arguments.isEmpty ? "" : "(" + arguments.joined(separator: ", ") + ")"
        let rows = try await connection.run([
            "SET LOCAL plan_cache_mode = \(raw: mode)",
            SQL(stringLiteral: "PREPARE page AS " + statement.text),
            SQL(stringLiteral: "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE page" + called),
            "DEALLOCATE page",
        ])
        return try rows[2].map { try $0.get("QUERY PLAN", as: String.self) }
    }

    /// How many rows a line's node gave, and threw away, over all its runs.
    private func rows(in line: String) -> Int? {
        if let match = line.firstMatch(of: /actual rows=(\d+) loops=(\d+)/), let rows = Int(match.1),
            let loops = Int(match.2)
        {
            return rows * loops
        }
        return line.firstMatch(of: /Rows Removed by [A-Za-z ]+: (\d+)/).flatMap { Int($0.1) }
    }

    private func populate(_ world: World, _ jane: Caller) async throws -> Example {
        for _ in 0..<300 {
            _ = try await world.owner.query(
                """
                WITH o AS (INSERT INTO organisations (name, slug) SELECT 'Small', 'small-' || uuid_v7() RETURNING id),
                     h AS (INSERT INTO channels (org_id, type, name) SELECT id, 'mock', 'Web' FROM o RETURNING org_id, id),
                     k AS (INSERT INTO contacts (org_id, name) SELECT id, 'Jane' FROM o RETURNING org_id, id),
                     v AS (
                         INSERT INTO conversations (org_id, channel_id, contact_id)
                         SELECT h.org_id, h.id, k.id FROM h, k RETURNING org_id, channel_id, contact_id
                     )
                INSERT INTO tickets (org_id, number, channel_id, contact_id)
                SELECT org_id, 1, channel_id, contact_id FROM v
                """
            )
        }
        let org = jane.organisation
        _ = try await world.owner.run([
            "INSERT INTO channels (org_id, type, name) SELECT \(org), 'mock', 'Line ' || n FROM generate_series(1, 3) AS n",
            "INSERT INTO contacts (org_id, name) SELECT \(org), 'Contact ' || n FROM generate_series(1, 2000) AS n",
            """
            INSERT INTO conversations (org_id, channel_id, contact_id)
            SELECT \(org), h.id, k.id
              FROM (SELECT id, row_number() OVER (ORDER BY id) % 3 AS place FROM contacts WHERE org_id = \(org)) AS k
              JOIN (SELECT id, row_number() OVER (ORDER BY id) % 3 AS place FROM channels WHERE org_id = \(org)) AS h
             USING (place)
            """,
            """
            INSERT INTO tickets (org_id, number, channel_id, contact_id, status, priority, assignee_id, last_message_at, created_at, closed_at)
            SELECT \(org), n, v.channel_id, v.contact_id, CASE WHEN n % 20 = 0 THEN 'open' ELSE 'closed' END, n / 2 % 4,
                   CASE WHEN n % 2 = 0 THEN \(jane.user)::uuid END, at, at, CASE WHEN n % 20 <> 0 THEN at END
              FROM (SELECT n, now() - make_interval(mins => 6001 - n) AS at FROM generate_series(1, 6000) AS n) AS made
              JOIN (
                    SELECT channel_id, contact_id, row_number() OVER (ORDER BY contact_id) AS place
                      FROM conversations WHERE org_id = \(org)
                   ) AS v ON v.place = 1 + n % 2000
            """,
            """
            INSERT INTO ticket_tags (org_id, ticket_id, tag)
            SELECT org_id, id, CASE WHEN number % 1000 = 0 THEN 'rare' ELSE 'common' END
              FROM tickets WHERE org_id = \(org) AND number % 10 = 0
            """,
            "ANALYZE",
        ])
        let row = try await world.owner.query(
            "SELECT channel_id, contact_id FROM tickets WHERE org_id = \(org) AND number = 7"
        )[0]
        return Example(
            channel: try row.get("channel_id"),
            agent: jane.user,
            contact: try row.get("contact_id")
        )
    }
}
