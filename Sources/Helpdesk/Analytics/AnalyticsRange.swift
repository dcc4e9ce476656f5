import Foundation
import Functions
import Postgres

/// The quarter hours that an analytics endpoint tells of, and the zone of its days.
struct AnalyticsRange: Sendable {
    enum Interval: String, Sendable, CaseIterable {
        case hour, day, week

        /// Days in the longest range.
        var most: Int { self == .hour ? 31 : 366 }
    }

    let from: Date
    let to: Date
    let zone: String
    /// Everything that happened before is counted.
    let asOf: Date
    let interval: Interval

    static let fields: [Field] = [
        .optional("from", .time, doc: "inclusive; 30 days before `to` unless told"),
        .optional(
            "to",
            .time,
            doc: "exclusive; the end of this quarter hour unless told",
            example: "2026-12-01T00:00:00.000Z"
        ),
        .optional("interval", .choice(Interval.allCases.map(\.rawValue)), doc: "`day` unless told", example: "day"),
    ]

    /// The input that all the endpoints take.
    struct Input: Decodable, Sendable {
        let from: QueryTime?
        let to: QueryTime?
        let interval: String?
    }

    /// Adds up what has happened until now, so that who asks needn't wait for the schedule, and finds the bounds: the caller's,
    /// rounded down to the quarter hour.
    ///
    /// - Throws: ``Failure/invalid(parameter:_:)`` for an empty range and one that is too long.
    static func find(_ input: Input, in context: HTTPContext) async throws -> AnalyticsRange {
        let organisation = try context.member().organisation
        let zone: SQL = "SELECT o.timezone FROM organisations AS o WHERE o.id = \(organisation)"
        let quarter: SQL = "date_bin('15 minutes', now(), timestamptz '2000-01-01 00:00Z') + interval '15 minutes'"
        let to = input.to?.sql(zone: zone) ?? quarter
        let from = input.from?.sql(zone: zone) ?? "\(raw: to) - interval '30 days'"
        var rows: [PostgresRows] = []
        var rounds = 0
        repeat {
            rounds += 1
            rows = try await context.run([
                RollUpAnalytics.statement(organisation),
                """
                SELECT date_bin('15 minutes', \(raw: from), timestamptz '2000-01-01 00:00Z') AS starts,
                       date_bin('15 minutes', \(raw: to), timestamptz '2000-01-01 00:00Z') AS ends, (\(raw: zone)) AS zone,
                       coalesce(
                           (SELECT min(f.event_at)
                              FROM analytics_positions AS p
                             CROSS JOIN LATERAL find_events_after(p.xid, p.last_event, 1) AS f
                             WHERE p.org_id = \(organisation)),
                           now()
                       ) AS as_of
                """,
            ])
        } while try rows[0][0].get("events", as: Int.self) == RollUpAnalytics.batch && rounds < 5
        let row = rows[1][0]
        let range = AnalyticsRange(
            from: try row.get("starts"),
            to: try row.get("ends"),
            zone: try row.get("zone"),
            asOf: try row.get("as_of"),
            interval: input.interval.flatMap(Interval.init) ?? .day
        )
        guard range.from < range.to else { throw Failure.invalid(parameter: "from", "must be before `to`") }
        // An hour more: so long is the day on which clocks go back.
        guard range.to.timeIntervalSince(range.from) <= Double(range.interval.most) * 86_400 + 3600 else {
            throw Failure.invalid(parameter: "from", "must be at most \(range.interval.most) days before `to`")
        }
        return range
    }
}

/// `{avg, p50, p90}` of durations in seconds, each `null` where there is nothing to average.
enum DurationSummary {
    static func column(_ name: String) -> Record.Column {
        .init(
            name,
            .object([
                .init("avg", .number, "s.\(raw: .identifier(name + "_avg"))", nullable: true),
                .init("p50", .number, "s.\(raw: .identifier(name + "_p50"))", nullable: true),
                .init("p90", .number, "s.\(raw: .identifier(name + "_p90"))", nullable: true),
            ])
        )
    }

    /// The columns that ``column(_:)`` reads, aggregated over `analytics_durations AS d` of one measure.
    static func aggregates(_ name: String, _ measure: String) -> SQL {
        let only: SQL = "FILTER (WHERE d.measure = \(raw: SQL(stringLiteral: "'\(measure)'")))"
        func percentile(_ portion: SQL) -> SQL {
            """
            round(percentile_of(array_agg(d.bucket) \(raw: only), array_agg(d.count) \(raw: only), \(raw: portion))::numeric, 3)
            """
        }
        return """
            round(sum(d.milliseconds) \(raw: only) / sum(d.count) \(raw: only) / 1000, 3) AS \(raw: .identifier(name + "_avg")),
            \(raw: percentile("0.5")) AS \(raw: .identifier(name + "_p50")),
            \(raw: percentile("0.9")) AS \(raw: .identifier(name + "_p90"))
            """
    }
}
