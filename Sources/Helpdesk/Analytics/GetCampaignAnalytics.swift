import Functions
import Postgres

/// How far the recipients of each campaign got that was being sent in a range of time: a funnel, in which who read counts as
/// delivered and sent too.
///
/// `get-campaign-analytics` in functions.yaml: `GET /orgs/analytics/campaigns`, both roles. Read from the campaigns' own counters. A rate is
/// null where the channel's provider can't tell, and before anything was sent.
struct GetCampaignAnalytics: HTTPFunction {
    static let row = Record(
        "CampaignAnalytics",
        [
            .init("campaignId", .uuid, "c.id"), .init("name", .text, "c.name"), .init("total", .integer, "n.total"),
            .init("sent", .integer, "n.sent + n.delivered + n.read"),
            .init("delivered", .integer, "n.delivered + n.read"),
            .init("read", .integer, "n.read"), .init("failed", .integer, "n.failed"),
            .init("optedOut", .integer, "n.opted_out"),
            .init(
                "deliveryRate",
                .number,
                rate("n.delivered + n.read", "'whatsapp', 'facebook', 'mock'"),
                nullable: true
            ),
            .init(
                "readRate",
                .number,
                rate("n.read", "'whatsapp', 'facebook', 'instagram', 'twitter'"),
                nullable: true
            ),
            .init("replies", .integer, "n.replies"),
        ]
    )

    /// A share of those sent to, on the kinds of channel that tell.
    private static func rate(_ count: SQL, _ kinds: SQL) -> SQL {
        """
        CASE WHEN h.type IN (\(raw: kinds)) THEN round((\(raw: count))::numeric / nullif(n.sent + n.delivered + n.read, 0), 4) END
        """
    }

    static let input = Shape<AnalyticsRange.Input>(query: AnalyticsRange.fields)
    static let output: OutputDeclaration = .object(Record("CampaignsAnalytics", [.init("data", .list(row))]))

    func handle(_ input: AnalyticsRange.Input, in context: HTTPContext) async throws -> Answer {
        let range = try await AnalyticsRange.find(input, in: context)
        let rows = try await context.query(
            """
            SELECT \(raw: Self.row.selectList)
              FROM \(raw: Campaign.source)
              JOIN channels AS h ON h.org_id = c.org_id AND h.id = c.channel_id
             WHERE c.org_id = \(try context.member().organisation) AND c.started_at < \(range.to)
               AND (c.completed_at IS NULL OR c.completed_at >= \(range.from))
             ORDER BY c.started_at DESC, c.id DESC
            """
        )
        return Answer.data(rows, Self.row)
    }
}
