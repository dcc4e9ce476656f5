import Functions
import Postgres

/// A conversation with a contact on a channel, from its opening to its closing.
enum Ticket {
    typealias ID = Identifier<Ticket>

    static let statuses = ["open", "pending", "closed"]

    /// By rank: `tickets.priority` holds the place in this list.
    static let priorities = ["low", "normal", "high", "urgent"]

    /// Columns of `tickets` under the alias `t` and of what ``joins`` adds.
    static let record = Record(
        "Ticket",
        [
            .init("id", .uuid, "t.id"),
            .init("orgId", .uuid, "t.org_id"),
            .init("number", .integer, "t.number", doc: "rises from 1 inside an organisation"),
            .init("subject", .text, "t.subject", nullable: true),
            .init("status", .choice(statuses), "t.status"),
            .init("priority", .choice(priorities), "(ARRAY['low', 'normal', 'high', 'urgent'])[t.priority + 1]"),
            .init("tags", .texts, tags),
            .init("channelId", .uuid, "t.channel_id"),
            .init(
                "contact",
                .object([
                    .init("id", .uuid, "k.id"),
                    .init("name", .text, "k.name", nullable: true),
                    .init("phone", .text, "k.phone", nullable: true),
                    .init("handle", .text, "k.handle", nullable: true),
                    .init("email", .text, "k.email", nullable: true),
                    .init("optedOut", .boolean, "k.opted_out"),
                ])
            ),
            .init(
                "assignee",
                .object([.init("id", .uuid, "a.id"), .init("name", .text, "a.name")]),
                nullable: true
            ),
            .init("lastMessageAt", .time, "t.last_message_at", doc: "notes don't count; `createdAt` before any"),
            .init("firstResponseAt", .time, "t.first_response_at", nullable: true),
            .init("closedAt", .time, "t.closed_at", nullable: true),
            .init("unreadCount", .integer, "t.unread_count", doc: "inbound messages since a user answered or read"),
            .init(
                "window",
                .object([
                    .init("until", .time, windowEnd, doc: "free-form messages until then"),
                    .init("humanAgentUntil", .time, humanAgentEnd, nullable: true, doc: "a person's answer until then"),
                ]),
                nullable: true,
                doc: "null where the channel has none, or the contact has never written"
            ),
            .init("createdAt", .time, "t.created_at"),
            .init("updatedAt", .time, "t.updated_at"),
        ]
    )

    /// What the record reads beside `tickets AS t`, each by its primary key for one ticket after another. `OFFSET 0` keeps the planner
    /// from beginning at the other end: it takes organisation and channel for independent, and so a channel's tickets for few.
    static let joins: SQL = """
        JOIN LATERAL (
             SELECT k.id, k.name, k.phone, k.handle, k.email, k.opted_out
               FROM contacts AS k WHERE k.org_id = t.org_id AND k.id = t.contact_id OFFSET 0
             ) AS k ON true
        JOIN LATERAL (
             SELECT c.id, c.type FROM channels AS c WHERE c.org_id = t.org_id AND c.id = t.channel_id OFFSET 0
             ) AS c ON true
        JOIN LATERAL (
             SELECT v.last_inbound_provider_at
               FROM conversations AS v
              WHERE v.org_id = t.org_id AND v.channel_id = t.channel_id AND v.contact_id = t.contact_id OFFSET 0
             ) AS v ON true
        LEFT JOIN LATERAL (
             SELECT a.id, a.name FROM users AS a WHERE a.org_id = t.org_id AND a.id = t.assignee_id OFFSET 0
             ) AS a ON true
        """

    /// When the customer window of a channel `c` closes that a conversation `v` opened; NULL where there is none.
    static let windowEnd: SQL = """
        CASE WHEN c.type IN ('whatsapp', 'facebook', 'instagram')
             THEN v.last_inbound_provider_at + interval '24 hours' END
        """

    /// Until when a person may answer where others no longer may.
    static let humanAgentEnd: SQL = """
        CASE WHEN c.type IN ('facebook', 'instagram') THEN v.last_inbound_provider_at + interval '7 days' END
        """

    private static let tags: SQL = """
        ARRAY(SELECT g.tag FROM ticket_tags AS g WHERE g.org_id = t.org_id AND g.ticket_id = t.id
              ORDER BY g.position, g.tag)
        """

    /// The place of a priority in ``priorities``, which the shape has checked.
    static func rank(of priority: String) -> Int {
        priorities.firstIndex(of: priority) ?? 1
    }

    /// The tags without repetitions, in the order in which they were given; equal scalars are a repetition, as they are
    /// for the database.
    static func distinct(_ tags: [String]) -> [String] {
        var seen: Set<JSON> = []
        return tags.filter { seen.insert(.string($0)).inserted }
    }
}

extension FieldType {
    /// Up to 20 tags of 1…50 characters.
    static let tags = FieldType.list(.text(1...50, .name), 0...20)
}
