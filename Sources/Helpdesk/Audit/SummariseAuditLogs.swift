import Functions
import Postgres

/// How often which action was done, and by whom.
///
/// `summarise-audit-logs` in functions.yaml: `GET /orgs/:orgId/audit-logs/summary`, admins only. Most frequent first; an actor goes by
/// the newest name, and `null` is the system.
struct SummariseAuditLogs: HTTPFunction {
    struct Input: Decodable, Sendable {
        let from: QueryTime?
        let to: QueryTime?
    }

    static let input = Shape<Input>(query: AuditEntry.range)

    static let output: OutputDeclaration = .object(
        Record(
            "AuditSummary",
            [
                .init("total", .integer),
                .init("byAction", .list(byAction)),
                .init("byActor", .list(byActor)),
            ]
        )
    )

    private static let byAction = Record(
        "ActionCount",
        [.init("action", .text, "a.action"), .init("count", .integer, "count(*)")]
    )

    private static let byActor = Record(
        "ActorCount",
        [
            .init("actorId", .uuid, "a.actor_id", nullable: true),
            .init("name", .text, "(array_agg(a.actor_name ORDER BY a.created_at DESC))[1]", nullable: true),
            .init("count", .integer, "count(*)"),
        ]
    )

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let condition = AuditEntry.created(from: input.from, to: input.to, in: organisation)
        let rows = try await context.run([
            "SELECT count(*) AS total FROM audit AS a WHERE a.org_id = \(organisation)\(raw: condition)",
            """
            SELECT \(raw: Self.byAction.selectList)
              FROM audit AS a
             WHERE a.org_id = \(organisation)\(raw: condition)
             GROUP BY a.action
             ORDER BY count(*) DESC, a.action
            """,
            """
            SELECT \(raw: Self.byActor.selectList)
              FROM audit AS a
             WHERE a.org_id = \(organisation)\(raw: condition)
             GROUP BY a.actor_id
             ORDER BY count(*) DESC, a.actor_id
            """,
        ])
        let total = try rows[0].first?.get("total", as: Int.self) ?? 0
        return Answer.object {
            $0.member("total", total)
            $0.name("byAction")
            $0.array { for row in rows[1].indices { Self.byAction.write(rows[1], row: row, into: &$0) } }
            $0.name("byActor")
            $0.array { for row in rows[2].indices { Self.byActor.write(rows[2], row: row, into: &$0) } }
        }
    }
}
