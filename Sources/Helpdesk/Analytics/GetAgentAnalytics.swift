import Functions
import Postgres

/// What each member did in a range of time, and has to do now.
///
/// `get-agent-analytics` in functions.yaml: `GET /orgs/analytics/agents`, both roles. Deactivated members are told of while they did something
/// in the range. `closed` and `resolutionSeconds` go to the assignee at closing, `messages` and `firstResponseSeconds` to who wrote.
struct GetAgentAnalytics: HTTPFunction {
    static let row = Record(
        "AgentAnalytics",
        [
            .init("userId", .uuid, "u.id"), .init("name", .text, "u.name"),
            .init("assigned", .integer, "coalesce(t.assigned, 0)", doc: "tickets of theirs now"),
            .init("closed", .integer, "coalesce(n.closed, 0)", doc: "in the range"),
            .init("open", .integer, "coalesce(t.open, 0)", doc: "of theirs now"),
            .init("messages", .integer, "coalesce(n.messages, 0)"),
            DurationSummary.column("firstResponseSeconds"), DurationSummary.column("resolutionSeconds"),
        ]
    )

    static let input = Shape<AnalyticsRange.Input>(query: AnalyticsRange.fields)
    static let output: OutputDeclaration = .object(Record("AgentsAnalytics", [.init("data", .list(row))]))

    func handle(_ input: AnalyticsRange.Input, in context: HTTPContext) async throws -> Answer {
        let range = try await AnalyticsRange.find(input, in: context)
        let organisation = try context.member().organisation
        let rows = try await context.query(
            """
            SELECT \(raw: Self.row.selectList)
              FROM users AS u
              LEFT JOIN (
                    SELECT t.assignee_id, count(*) AS assigned, count(*) FILTER (WHERE t.status = 'open') AS open
                      FROM tickets AS t
                     WHERE t.org_id = \(organisation) AND t.assignee_id IS NOT NULL
                     GROUP BY t.assignee_id
                   ) AS t ON t.assignee_id = u.id
              LEFT JOIN (
                    SELECT n.user_id, sum(n.count) FILTER (WHERE n.measure = 'closed') AS closed,
                           sum(n.count) FILTER (WHERE n.measure = 'outbound') AS messages
                      FROM analytics_counts AS n
                     WHERE n.org_id = \(organisation) AND n.measure IN ('closed', 'outbound') AND n.user_id IS NOT NULL
                       AND n.at >= \(range.from) AND n.at < \(range.to)
                     GROUP BY n.user_id
                   ) AS n ON n.user_id = u.id
              LEFT JOIN (
                    SELECT d.user_id, \(raw: DurationSummary.aggregates("firstResponseSeconds", "first_response")),
                           \(raw: DurationSummary.aggregates("resolutionSeconds", "resolution"))
                      FROM analytics_durations AS d
                     WHERE d.org_id = \(organisation) AND d.user_id IS NOT NULL
                       AND d.at >= \(range.from) AND d.at < \(range.to)
                     GROUP BY d.user_id
                   ) AS s ON s.user_id = u.id
             WHERE u.org_id = \(organisation) AND (u.status = 'active' OR n.user_id IS NOT NULL)
             ORDER BY u.name_folded, u.id
            """
        )
        return Answer.data(rows, Self.row)
    }
}
