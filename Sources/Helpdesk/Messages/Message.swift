import Functions
import Postgres

/// What a contact wrote, what was answered, and what members note for one another.
enum Message {
    typealias ID = Identifier<Message>

    /// Columns of `messages` under the alias `m`.
    static let record = Record(
        "Message",
        [
            .init("id", .uuid, "m.id"),
            .init("ticketId", .uuid, "m.ticket_id"),
            .init("direction", .choice(["inbound", "outbound", "note"]), "m.direction"),
            .init(
                "author",
                .object([
                    .init("type", .choice(["contact", "user", "api_key", "campaign", "system"]), "m.author_type"),
                    .init("id", .uuid, "m.author_id", nullable: true),
                    .init("name", .text, "m.author_name", nullable: true, doc: "the author's name at that time"),
                ])
            ),
            .init("text", .text, "m.text"),
            .init("attachments", .json, "m.attachments", content: .objects(attachment)),
            .init(
                "status",
                .choice(["received", "queued", "sent", "delivered", "read", "failed"]),
                "m.status",
                doc: "moves forward only"
            ),
            .init(
                "error",
                .object([
                    .init("code", .text, "m.error_code"),
                    .init("message", .text, "m.error_message", nullable: true),
                ]),
                nullable: true
            ),
            .init("externalId", .text, "m.external_id", nullable: true, doc: "the provider's id"),
            .init("replyTo", .uuid, "m.reply_to", nullable: true, doc: "the quoted message"),
            .init(
                "reactions",
                .json,
                reactions,
                content: .objects([.init("emoji", .text), .init("by", .choice(["contact", "us"]))])
            ),
            .init("createdAt", .time, "m.created_at"),
            .init("providerAt", .time, "m.provider_at", nullable: true, doc: "the provider's time"),
            .init("sentAt", .time, "m.sent_at", nullable: true),
            .init("deliveredAt", .time, "m.delivered_at", nullable: true),
            .init("readAt", .time, "m.read_at", nullable: true),
        ]
    )

    private static let attachment: [Record.Column] = [
        .init(
            "type",
            .choice([
                "image", "video", "audio", "file", "sticker", "location", "contact", "link", "post", "story",
                "unsupported",
            ])
        ),
        .init("url", .text, nullable: true),
        .init("mimeType", .text, nullable: true),
        .init("name", .text, nullable: true),
        .init("size", .integer, nullable: true, doc: "in bytes"),
    ]

    private static let reactions: SQL = """
        coalesce((SELECT jsonb_agg(jsonb_build_object('emoji', r.emoji, 'by', r.by) ORDER BY r.created_at)
                    FROM reactions AS r
                   WHERE r.org_id = m.org_id AND r.message_id = m.id AND r.removed_at IS NULL), '[]')
        """
}
