import Functions
import Postgres

/// One message to many contacts on a channel.
enum Campaign {
    typealias ID = Identifier<Campaign>

    static let statuses = ["draft", "scheduled", "running", "paused", "completed", "cancelled"]

    /// Columns of `campaigns` under the alias `c` and of `campaign_counters` under `n`.
    static let record = Record(
        "Campaign",
        [
            .init("id", .uuid, "c.id"),
            .init("orgId", .uuid, "c.org_id"),
            .init("name", .text, "c.name"),
            .init("channelId", .uuid, "c.channel_id"),
            .init("message", .json, "c.message", doc: "`{text}` or `{template: {name, language, components}}`"),
            .init("status", .choice(statuses), "c.status"),
            .init(
                "rateLimit",
                .object([.init("perSecond", .integer, "c.per_second", doc: "recipients per second at most")])
            ),
            .init("scheduledAt", .time, "c.scheduled_at", nullable: true),
            .init("startedAt", .time, "c.started_at", nullable: true),
            .init("completedAt", .time, "c.completed_at", nullable: true, doc: "when the last recipient ended"),
            .init("recipientCount", .integer, "n.total"),
            .init("createdAt", .time, "c.created_at"),
            .init("updatedAt", .time, "c.updated_at"),
        ]
    )

    /// What ``record`` reads.
    static let source: SQL = """
        campaigns AS c
          JOIN campaign_counters AS n ON n.org_id = c.org_id AND n.campaign_id = c.id
        """

    /// Messages per second that a kind of channel takes for campaigns which ask for none: what the provider documents, for WhatsApp
    /// with room for answers.
    static func limit(of kind: Channel.Kind) -> Int {
        switch kind {
        case .whatsapp: 60
        case .facebook, .instagram: 300
        case .twitter, .linkedin: 1
        case .mock: 10_000
        }
    }

    /// The same on a channel of a campaign that asks for so many: WhatsApp allows some numbers ever more, as their owner can see;
    /// nobody gets more elsewhere.
    static func limit(of kind: Channel.Kind, asked perSecond: Int) -> Int {
        kind == .whatsapp ? max(limit(of: kind), perSecond) : limit(of: kind)
    }
}

/// One contact among those whom a campaign is sent to.
enum Recipient {
    typealias ID = Identifier<Recipient>

    static let statuses = ["pending", "sent", "delivered", "read", "failed", "optedOut", "cancelled"]

    /// Columns of `campaign_recipients` under the alias `r`.
    static let record = Record(
        "Recipient",
        [
            .init("id", .uuid, "r.id"),
            .init("contactId", .uuid, "r.contact_id"),
            .init("name", .text, "r.name", nullable: true),
            .init("phone", .text, "r.phone", nullable: true),
            .init("handle", .text, "r.handle", nullable: true),
            .init("variables", .json, "r.variables"),
            .init("status", .choice(statuses), "r.status"),
            .init(
                "error",
                .object([
                    .init("code", .text, "r.error_code"),
                    .init("message", .text, "r.error_message", nullable: true),
                ]),
                nullable: true
            ),
            .init(
                "messageId",
                .uuid,
                "CASE WHEN r.sent_at IS NOT NULL THEN r.id END",
                nullable: true,
                doc: "what was sent"
            ),
            .init("sentAt", .time, "r.sent_at", nullable: true),
            .init("deliveredAt", .time, "r.delivered_at", nullable: true),
            .init("readAt", .time, "r.read_at", nullable: true),
        ]
    )
}
