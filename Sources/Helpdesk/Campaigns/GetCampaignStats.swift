import Foundation
import Functions
import Postgres

/// How far a campaign is: its recipients by state, which add up to the total at every moment.
///
/// `get-campaign-stats` in functions.yaml: `GET /orgs/:orgId/campaigns/:id/stats`, both roles. Read from counters that are kept, so it
/// costs the same for ten recipients and a million. `ratePerSecond` is that of the last ten seconds; `etaSeconds` is what is left at
/// that rate, or at the campaign's own before there is one, quiet hours included; null where nothing is going on.
///
/// - Throws: ``Failure/notFound(_:)`` when the campaign is absent or another organisation's.
struct GetCampaignStats: HTTPFunction {
    static let record = Record(
        "CampaignStats",
        [
            .init("total", .integer, "n.total"),
            .init("pending", .integer, "n.pending"),
            .init("sent", .integer, "n.sent"),
            .init("delivered", .integer, "n.delivered"),
            .init("read", .integer, "n.read"),
            .init("failed", .integer, "n.failed"),
            .init("optedOut", .integer, "n.opted_out"),
            .init("cancelled", .integer, "n.cancelled"),
            .init(
                "failuresByCode",
                .json,
                """
                coalesce((SELECT jsonb_object_agg(f.code, f.count) FROM campaign_failures AS f
                           WHERE f.org_id = c.org_id AND f.campaign_id = c.id), '{}')
                """
            ),
            .init("startedAt", .time, "c.started_at", nullable: true),
            .init("completedAt", .time, "c.completed_at", nullable: true),
            .init("ratePerSecond", .number, doc: "over the last ten seconds"),
            .init("etaSeconds", .integer, nullable: true, doc: "until the last recipient is sent to"),
        ]
    )

    /// What is selected; the last two members are computed.
    private static let stored = Record("StoredCampaignStats", Array(record.columns.dropLast(2)))

    static let input = Shape<CampaignPath>(path: [.required("id", .uuid)])
    static let output: OutputDeclaration = .object(record)

    func handle(_ input: CampaignPath, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let rows = try await context.query(
            """
            SELECT \(raw: Self.stored.selectList), c.status, c.per_second, n.pending AS still, n.window_count, n.window_before,
                   extract(epoch FROM clock_timestamp() - n.window_at)::float8 AS elapsed,
                   extract(epoch FROM quiet_until(o.settings -> 'quietHours', o.timezone, clock_timestamp())
                                      - clock_timestamp())::float8 AS quiet_for
              FROM \(raw: Campaign.source)
              JOIN organisations AS o ON o.id = c.org_id
             WHERE c.org_id = \(organisation) AND c.id = \(input.id)
            """
        )
        guard let row = rows.first else { throw Failure.notFound("campaign") }
        let rate = CampaignRate(
            elapsed: try row.optional("elapsed"),
            count: try row.get("window_count"),
            before: try row.get("window_before")
        ).perSecond
        let status = try row.get("status", as: String.self)
        let pending = try row.get("still", as: Double.self)
        var eta: Int?
        if status == "running" {
            let pace = rate > 0 ? rate : try row.get("per_second", as: Double.self)
            eta = Int((try row.optional("quiet_for", as: Double.self) ?? 0) + (pending / pace).rounded(.up))
        } else if status == "completed" || status == "cancelled" {
            eta = 0
        }
        return Answer.object { writer in
            Self.stored.write(membersOf: rows, row: 0, into: &writer)
            writer.name("ratePerSecond")
            writer.number(status == "running" || status == "paused" ? (rate * 10).rounded() / 10 : 0)
            writer.member("etaSeconds", eta)
        }
    }
}

/// How many were tried per second lately, from two windows of ten seconds.
struct CampaignRate: Sendable {
    /// Seconds since the present window began; `nil` before anybody was tried.
    let elapsed: Double?
    let count: Double
    let before: Double

    var perSecond: Double {
        guard let elapsed else { return 0 }
        // Without a window before it has just begun, so its own seconds count.
        if before == 0 { return elapsed < 20 ? count / max(1, elapsed) : 0 }
        // A window that is over moves back as a new one would.
        if elapsed >= 20 { return 0 }
        if elapsed >= 10 { return count * (20 - elapsed) / 100 }
        return (before * (10 - elapsed) / 10 + count) / 10
    }
}
