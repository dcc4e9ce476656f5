import Functions
import Postgres

/// What happened to tickets in a range of time.
///
/// `get-ticket-analytics` in functions.yaml: `GET /orgs/analytics/tickets`, both roles. Read from roll-ups; `open` and `pending` are of now.
struct GetTicketAnalytics: HTTPFunction {
    static let totals: [Record.Column] = [
        .init("created", .integer), .init("closed", .integer), .init("reopened", .integer),
        .init("open", .integer, doc: "now"), .init("pending", .integer, doc: "now"),
    ]
    static let durations = Record(
        "TicketDurations",
        [DurationSummary.column("firstResponseSeconds"), DurationSummary.column("resolutionSeconds")]
    )
    static let byChannel = Record(
        "ChannelCount",
        [.init("channelId", .uuid, "c.id"), .init("name", .text, "c.name"), .init("count", .integer, "x.count")]
    )
    static let point = Record(
        "TicketPoint",
        [.init("at", .time, "x.at"), .init("created", .integer, "x.created"), .init("closed", .integer, "x.closed")]
    )
    static let record = Record(
        "TicketAnalytics",
        [
            .init("from", .time), .init("to", .time), .init("asOf", .time, doc: "everything before is counted"),
            .init("totals", .object(totals)),
            .init("byPriority", .object(Ticket.priorities.map { .init($0, .integer) }), doc: "of those created"),
            .init("byChannel", .list(byChannel), doc: "of those created"),
        ] + durations.columns + [.init("series", .list(point))]
    )

    static let input = Shape<AnalyticsRange.Input>(query: AnalyticsRange.fields)
    static let output: OutputDeclaration = .object(record)

    func handle(_ input: AnalyticsRange.Input, in context: HTTPContext) async throws -> Answer {
        let range = try await AnalyticsRange.find(input, in: context)
        let results = try await context.run(statements(range, try context.member().organisation))
        return try Answer.object { writer in
            writer.member("from", range.from)
            writer.member("to", range.to)
            writer.member("asOf", range.asOf)
            writer.name("totals")
            try writer.object {
                for column in Self.totals { $0.member(column.name, try results[0][0].get(column.name, as: Int.self)) }
            }
            writer.name("byPriority")
            try writer.object {
                for name in Ticket.priorities { $0.member(name, try results[0][0].get(name, as: Int.self)) }
            }
            writer.name("byChannel")
            writer.array {
                for row in results[1].indices { Self.byChannel.write(results[1], row: row, into: &$0) }
            }
            Self.durations.write(membersOf: results[2], row: 0, into: &writer)
            writer.name("series")
            writer.array { for row in results[3].indices { Self.point.write(results[3], row: row, into: &$0) } }
        }
    }

    private func statements(_ range: AnalyticsRange, _ organisation: Organisation.ID) -> [SQL] {
        func total(_ measure: SQL, _ name: SQL) -> SQL {
            "coalesce(sum(n.count) FILTER (WHERE \(raw: measure)), 0) AS \(raw: name)"
        }
        let priorities = Ticket.priorities.enumerated().map { rank, name in
            total(
                "n.measure = 'created' AND n.priority = \(raw: SQL(stringLiteral: String(rank)))",
                SQL(stringLiteral: name)
            )
        }
        let counts = SQL.joined(
            ["created", "closed", "reopened"].map { name in
                total("n.measure = \(raw: SQL(stringLiteral: "'\(name)'"))", SQL(stringLiteral: name))
            } + priorities,
            separator: ", "
        )
        let within: SQL = "at >= \(range.from) AND at < \(range.to)"
        return [
            """
            SELECT \(raw: counts),
                   (SELECT count(*) FROM tickets AS t WHERE t.org_id = \(organisation) AND t.status = 'open') AS open,
                   (SELECT count(*) FROM tickets AS t WHERE t.org_id = \(organisation) AND t.status = 'pending') AS pending
              FROM analytics_counts AS n
             WHERE n.org_id = \(organisation) AND n.measure IN ('created', 'closed', 'reopened') AND n.\(raw: within)
            """,
            """
            SELECT \(raw: Self.byChannel.selectList)
              FROM (
                    SELECT n.channel_id, sum(n.count) AS count
                      FROM analytics_counts AS n
                     WHERE n.org_id = \(organisation) AND n.measure = 'created' AND n.\(raw: within)
                     GROUP BY n.channel_id
                   ) AS x
              JOIN channels AS c ON c.org_id = \(organisation) AND c.id = x.channel_id
             WHERE x.count > 0
             ORDER BY x.count DESC, c.name, c.id
            """,
            """
            SELECT \(raw: Self.durations.selectList)
              FROM (
                    SELECT \(raw: DurationSummary.aggregates("firstResponseSeconds", "first_response")),
                           \(raw: DurationSummary.aggregates("resolutionSeconds", "resolution"))
                      FROM analytics_durations AS d
                     WHERE d.org_id = \(organisation) AND d.\(raw: within)
                   ) AS s
            """,
            """
            SELECT \(raw: Self.point.selectList)
              FROM (
                    SELECT date_trunc(\(range.interval.rawValue)::text, q.at, \(range.zone)::text) AS at,
                           coalesce(sum(n.created), 0) AS created, coalesce(sum(n.closed), 0) AS closed
                      FROM generate_series(
                               \(range.from)::timestamptz, \(range.to)::timestamptz - interval '15 minutes', interval '15 minutes'
                           ) AS q (at)
                      LEFT JOIN (
                            SELECT c.at, sum(c.count) FILTER (WHERE c.measure = 'created') AS created,
                                   sum(c.count) FILTER (WHERE c.measure = 'closed') AS closed
                              FROM analytics_counts AS c
                             WHERE c.org_id = \(organisation) AND c.measure IN ('created', 'closed') AND c.\(raw: within)
                             GROUP BY c.at
                           ) AS n ON n.at = q.at
                     GROUP BY 1
                   ) AS x
             ORDER BY x.at
            """,
        ]
    }
}
