import Functions
import Postgres

/// What happened on each channel in a range of time; campaigns' messages aren't among them.
///
/// `get-channel-analytics` in functions.yaml: `GET /orgs/analytics/channels`, both roles. Deleted channels are told of while something
/// happened on them in the range.
struct GetChannelAnalytics: HTTPFunction {
    static let row = Record(
        "ChannelAnalytics",
        [
            .init("channelId", .uuid, "c.id"), .init("name", .text, "c.name"), .init("type", .text, "c.type"),
            .init("tickets", .integer, "coalesce(n.tickets, 0)", doc: "created"),
            .init("inbound", .integer, "coalesce(n.inbound, 0)"),
            .init("outbound", .integer, "coalesce(n.outbound, 0)"),
            .init("failed", .integer, "coalesce(n.failed, 0)"),
            DurationSummary.column("firstResponseSeconds"),
        ]
    )

    static let input = Shape<AnalyticsRange.Input>(query: AnalyticsRange.fields)
    static let output: OutputDeclaration = .object(Record("ChannelsAnalytics", [.init("data", .list(row))]))

    func handle(_ input: AnalyticsRange.Input, in context: HTTPContext) async throws -> Answer {
        let range = try await AnalyticsRange.find(input, in: context)
        let organisation = try context.member().organisation
        let rows = try await context.query(
            """
            SELECT \(raw: Self.row.selectList)
              FROM channels AS c
              LEFT JOIN (
                    SELECT n.channel_id, sum(n.count) FILTER (WHERE n.measure = 'created') AS tickets,
                           sum(n.count) FILTER (WHERE n.measure = 'inbound') AS inbound,
                           sum(n.count) FILTER (WHERE n.measure = 'outbound') AS outbound,
                           sum(n.count) FILTER (WHERE n.measure = 'failed') AS failed
                      FROM analytics_counts AS n
                     WHERE n.org_id = \(organisation) AND n.measure IN ('created', 'inbound', 'outbound', 'failed')
                       AND n.at >= \(range.from) AND n.at < \(range.to)
                     GROUP BY n.channel_id
                   ) AS n ON n.channel_id = c.id
              LEFT JOIN (
                    SELECT d.channel_id, \(raw: DurationSummary.aggregates("firstResponseSeconds", "first_response"))
                      FROM analytics_durations AS d
                     WHERE d.org_id = \(organisation) AND d.measure = 'first_response'
                       AND d.at >= \(range.from) AND d.at < \(range.to)
                     GROUP BY d.channel_id
                   ) AS s ON s.channel_id = c.id
             WHERE c.org_id = \(organisation) AND (c.deleted_at IS NULL OR n.channel_id IS NOT NULL)
             ORDER BY c.name, c.id
            """
        )
        return Answer.data(rows, Self.row)
    }
}

extension Answer {
    /// `{"data": [...]}` of all the rows.
    static func data(_ rows: PostgresRows, _ record: Record) -> Answer {
        Answer.object { writer in
            writer.name("data")
            writer.array { for row in rows.indices { record.write(rows, row: row, into: &$0) } }
        }
    }
}
