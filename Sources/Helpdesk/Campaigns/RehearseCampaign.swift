import Foundation
import Functions
import Postgres

/// What a campaign would do if it were started now, without sending anything: whom it reaches, whom not and why, until when it
/// would take, and what the first five would get.
///
/// `rehearse-campaign` in functions.yaml: `POST /orgs/:orgId/campaigns/:id/rehearse`, admins only. `recipients` are those who would be sent to.
///
/// - Throws: ``Failure/notFound(_:)`` when the campaign is absent or another organisation's.
struct RehearseCampaign: HTTPFunction {
    static let record = Record(
        "Rehearsal",
        [
            .init("recipients", .integer, doc: "who would be sent to"),
            .init("excluded", .json, doc: "how many not, by reason"),
            .init("estimatedSeconds", .integer),
            .init("finishesAt", .time),
            .init(
                "samples",
                .list(
                    Record(
                        "Sample",
                        [
                            .init("name", .text, nullable: true), .init("phone", .text, nullable: true),
                            .init("handle", .text, nullable: true), .init("text", .text),
                            .init("template", .json, nullable: true),
                        ]
                    )
                )
            ),
            .init("missingVariables", .json, doc: "names without a default that somebody has no value for"),
        ]
    )

    static let input = Shape<CampaignPath>(path: [.required("id", .uuid)])
    static let output: OutputDeclaration = .object(record)

    func handle(_ input: CampaignPath, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let head = try await context.query(
            """
            SELECT c.message, c.per_second, h.type, c.scheduled_at, c.channel_id,
                   (o.settings -> 'campaignCap' ->> 'messages')::integer AS cap_messages,
                   coalesce((o.settings -> 'campaignCap' ->> 'days')::integer, 0) AS cap_days,
                   extract(epoch FROM quiet_until(o.settings -> 'quietHours', o.timezone, now()) - now())::float8 AS quiet_for
              FROM campaigns AS c
              JOIN channels AS h ON h.org_id = c.org_id AND h.id = c.channel_id
              JOIN organisations AS o ON o.id = c.org_id
             WHERE c.org_id = \(organisation) AND c.id = \(input.id)
            """
        )
        guard let row = head.first else { throw Failure.notFound("campaign") }
        let message = CampaignMessage(try JSON.parse(row.get("message", as: String.self)))
        let kind = Channel.Kind(rawValue: try row.get("type")) ?? .mock
        let checks = Checks(
            organisation: organisation,
            campaign: input.id,
            channel: try row.get("channel_id"),
            kind: kind,
            needed: message.needed,
            cap: try row.optional("cap_messages"),
            days: try row.get("cap_days")
        )
        // Long for one of a million recipients, so on a connection of its own.
        return try await context.transaction(timeout: .seconds(60)) { transaction in
            let counted = try await transaction.query(checks.counting)[0]
            let samples = try await transaction.query(checks.sampling)
            let recipients = try counted.get("fine", as: Int.self)
            let asked = try row.get("per_second", as: Int.self)
            let pace = Double(min(asked, Campaign.limit(of: kind, asked: asked)))
            let seconds = Int((Double(recipients) / pace).rounded(.up))
            let start = max(context.now, try row.optional("scheduled_at") ?? context.now)
                .addingTimeInterval(try row.optional("quiet_for") ?? 0)
            return try Answer.object { writer in
                writer.member("recipients", recipients)
                writer.name("excluded")
                try writer.object {
                    for reason in ["optedOut", "frequencyCapped", "unreachable", "missingVariable"] {
                        $0.member(reason, try counted.get(reason, as: Int.self))
                    }
                }
                writer.member("estimatedSeconds", seconds)
                writer.member("finishesAt", start.addingTimeInterval(Double(seconds)))
                writer.name("samples")
                try writer.array { for sample in samples { try Self.write(sample, message, into: &$0) } }
                writer.name("missingVariables")
                try writer.array {
                    for (index, name) in message.needed.enumerated()
                    where try counted.get("missing_\(index)", as: Bool.self) { $0.string(name) }
                }
            }
        }
    }

    private static func write(_ row: PostgresRow, _ message: CampaignMessage, into writer: inout JSONWriter) throws {
        let values = RecipientValues(
            name: try row.optional("shown_name"),
            phone: try row.optional("shown_phone"),
            handle: try row.optional("shown_handle"),
            variables: try JSON.parse(row.get("variables", as: String.self))
        )
        let rendered = try message.render { values[$0] }
        try writer.object {
            $0.member("name", values.name)
            $0.member("phone", values.phone)
            $0.member("handle", values.handle)
            $0.member("text", rendered.text)
            $0.member("template", try rendered.template.map { try JSON.parse($0) } ?? .null)
        }
    }

    /// Why a recipient wouldn't be sent to, as SQL: the same that the sender looks at, in its order.
    private struct Checks {
        let organisation: Organisation.ID
        let campaign: Campaign.ID
        let channel: Channel.ID
        let kind: Channel.Kind
        let needed: [String]
        let cap: Int?
        let days: Int

        /// One row: `fine`, each reason, and `missing_<n>` for each name.
        var counting: SQL {
            let missing = needed.indices.map { index -> SQL in
                ", coalesce(bool_or(\(raw: lacks(needed[index]))), false) AS missing_\(raw: SQL(stringLiteral: String(index)))"
            }
            let reasons: [(SQL, SQL)] = [
                ("NULL", "fine"), ("'optedOut'", "\"optedOut\""), ("'frequencyCapped'", "\"frequencyCapped\""),
                ("'unreachable'", "unreachable"), ("'missingVariable'", "\"missingVariable\""),
            ]
            let counts = reasons.map { reason, name -> SQL in
                "count(*) FILTER (WHERE x.reason IS NOT DISTINCT FROM \(raw: reason)) AS \(raw: name)"
            }
            return """
                SELECT \(raw: SQL.joined(counts, separator: ", "))\(raw: SQL.joined(missing, separator: ""))
                  FROM \(raw: judged)
                """
        }

        var sampling: SQL {
            "SELECT x.* FROM \(raw: judged) WHERE x.reason IS NULL ORDER BY x.position LIMIT 5"
        }

        private var judged: SQL {
            let isCapped: SQL =
                cap.map { most in
                    """
                    (SELECT count(*) FROM campaign_recipients AS o
                      WHERE o.org_id = r.org_id AND o.contact_id = r.contact_id AND o.id <> r.id
                        AND o.attempted_at > now() - make_interval(days => \(days)::integer)
                        AND (o.status IN ('sent', 'delivered', 'read') OR o.error_code = 'outcome_unknown')) >= \(most)::bigint
                    """
                } ?? "false"
            let isUnreachable: SQL =
                switch kind {
                case .facebook, .instagram: "coalesce(v.last_inbound_provider_at < now() - interval '24 hours', true)"
                case .twitter: "v.last_inbound_provider_at IS NULL"
                default: "false"
                }
            let isMissing = SQL.joined(needed.map { lacks($0, "b") } + ["false"], separator: " OR ")
            return """
                (SELECT b.*,
                        CASE WHEN b.opted_out THEN 'optedOut'
                             WHEN b.is_capped THEN 'frequencyCapped'
                             WHEN b.is_unreachable THEN 'unreachable'
                             WHEN \(raw: isMissing) THEN 'missingVariable' END AS reason
                   FROM (
                        SELECT r.position, r.variables, r.status = 'optedOut' OR k.opted_out AS opted_out,
                               \(raw: isCapped) AS is_capped, \(raw: isUnreachable) AS is_unreachable,
                               coalesce(r.name, CASE WHEN k.name IN (k.phone, k.handle) THEN NULL ELSE k.name END) AS shown_name,
                               coalesce(r.phone, k.phone) AS shown_phone, coalesce(r.handle, k.handle) AS shown_handle
                          FROM campaign_recipients AS r
                          JOIN contacts AS k ON k.org_id = r.org_id AND k.id = r.contact_id
                          LEFT JOIN conversations AS v
                            ON v.org_id = r.org_id AND v.channel_id = \(channel) AND v.contact_id = r.contact_id
                         WHERE r.org_id = \(organisation) AND r.campaign_id = \(campaign)
                           AND r.status IN ('pending', 'optedOut')
                        ) AS b) AS x
                """
        }

        private func lacks(_ name: String, _ alias: SQL = "x") -> SQL {
            switch name {
            case "name": "coalesce(\(raw: alias).shown_name, '') = ''"
            case "phone": "coalesce(\(raw: alias).shown_phone, '') = ''"
            case "handle": "coalesce(\(raw: alias).shown_handle, '') = ''"
            case _ where name.hasPrefix("variables."):
                "coalesce(\(raw: alias).variables ->> \(String(name.dropFirst(10)))::text, '') = ''"
            default: "true"
            }
        }
    }
}
