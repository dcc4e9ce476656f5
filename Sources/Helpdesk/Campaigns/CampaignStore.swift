import Functions
import Postgres

/// The statements on one organisation's campaigns.
struct CampaignStore: Sendable {
    private let organisation: Organisation.ID

    init(_ organisation: Organisation.ID) {
        self.organisation = organisation
    }

    /// ``Campaign/record`` of one campaign.
    func find(_ id: Campaign.ID) -> SQL {
        """
        SELECT \(raw: Campaign.record.selectList)
          FROM \(raw: Campaign.source)
         WHERE c.org_id = \(organisation) AND c.id = \(id)
        """
    }

    /// Locks a campaign until the transaction ends: `status`, `total`, `pending`, and whether its channel may send (`is_active`).
    func lock(_ id: Campaign.ID) -> SQL {
        """
        SELECT c.status, n.total, n.pending, h.deleted_at IS NULL AND h.status <> 'disabled' AS is_active
          FROM campaigns AS c
          JOIN campaign_counters AS n ON n.org_id = c.org_id AND n.campaign_id = c.id
          JOIN channels AS h ON h.org_id = c.org_id AND h.id = c.channel_id
         WHERE c.org_id = \(organisation) AND c.id = \(id)
           FOR NO KEY UPDATE OF c
        """
    }

    func list(statuses: [String]?, channel: Channel.ID?, _ page: PageRequest) -> SQL {
        var conditions: [SQL] = ["c.org_id = \(organisation)"]
        if let statuses { conditions.append("c.status = ANY (\(statuses)::text[])") }
        if let channel { conditions.append("c.channel_id = \(channel)") }
        if let after = page.after, after.count == 2 {
            conditions.append("(c.created_at, c.id) < (\(after[0])::timestamptz, \(after[1])::uuid)")
        }
        return """
            SELECT \(raw: Campaign.record.selectList), c.created_at::text AS cursor_at, c.id::text AS cursor_id
              FROM \(raw: Campaign.source)
             WHERE \(raw: SQL.joined(conditions, separator: " AND "))
             ORDER BY c.created_at DESC, c.id DESC
             LIMIT \(raw: SQL(stringLiteral: String(page.limit + 1)))
            """
    }

    /// Recipients in the order in which they were uploaded; several statuses are read one by one, each in its index, and merged.
    func recipients(of id: Campaign.ID, statuses: [String]?, after position: String?, limit: Int) -> SQL {
        let most = SQL(stringLiteral: String(limit))
        let beyond: SQL = position.map { " AND r.position > \($0)::bigint" } ?? ""
        let wanted = statuses.map { Array(Set($0)).sorted() }
        func part(_ condition: SQL) -> SQL {
            """
            (SELECT \(raw: Recipient.record.selectList), r.position::text AS cursor_position, r.position AS place,
                    r.replied_at
               FROM campaign_recipients AS r
              WHERE r.org_id = \(organisation) AND r.campaign_id = \(id)\(raw: condition)\(raw: beyond)
              ORDER BY r.position
              LIMIT \(raw: most))
            """
        }
        guard let wanted, wanted.count < Recipient.statuses.count else { return part("") }
        let parts = SQL.joined(wanted.map { part(" AND r.status = \($0)") }, separator: " UNION ALL ")
        return "SELECT * FROM (\(raw: parts)) AS parts ORDER BY place LIMIT \(raw: most)"
    }

    /// Moves a campaign into a status, with the times that go with it.
    func move(_ id: Campaign.ID, to status: String, _ assignment: SQL? = nil) -> SQL {
        """
        UPDATE campaigns
           SET status = \(status), updated_at = now()\(raw: assignment.map { ", " + $0 } ?? "")
         WHERE org_id = \(organisation) AND id = \(id)
        """
    }

    /// Ends up to `most` of those who wait; see `end_campaign_recipients`.
    func end(_ id: Campaign.ID, as outcome: String, most: Int) -> SQL {
        """
        SELECT end_campaign_recipients(\(organisation)::uuid, \(id)::uuid, \(outcome)::text, \(most)::integer) AS ended
        """
    }

    func complete(_ id: Campaign.ID) -> SQL {
        "SELECT complete_campaign(\(organisation)::uuid, \(id)::uuid) AS completed"
    }
}
