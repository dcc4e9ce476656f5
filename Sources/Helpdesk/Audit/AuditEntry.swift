import Functions
import Postgres

/// What somebody did, when and from where. Written once, never changed: the database refuses.
enum AuditEntry {
    /// An `audit` row under the alias `a`.
    static let record = Record(
        "AuditEntry",
        [
            .init("id", .uuid, "a.id"),
            .init(
                "actor",
                .object([
                    .init("type", .choice(["user", "api_key", "system"]), "a.actor_type"),
                    .init("id", .uuid, "a.actor_id", nullable: true),
                    .init("name", .text, "a.actor_name", nullable: true, doc: "at that time"),
                ])
            ),
            .init("action", .text, "a.action", doc: "`<entity>.<verb>`"),
            .init("entityType", .text, "a.entity_type"),
            .init("entityId", .uuid, "a.entity_id", nullable: true),
            .init(
                "changes",
                .json,
                "a.changes",
                content: .map,
                doc: "each field with its value `from` and `to`; no secrets"
            ),
            .init("ip", .text, "a.ip", nullable: true),
            .init("userAgent", .text, "a.user_agent", nullable: true),
            .init("requestId", .text, "a.request_id", nullable: true),
            .init("createdAt", .time, "a.created_at"),
        ]
    )

    /// The condition that a time range of a query puts on `a.created_at`: `from` inclusive, `to` exclusive.
    static func created(from: QueryTime?, to: QueryTime?, in organisation: Organisation.ID) -> SQL {
        let zone: SQL = "SELECT timezone FROM organisations WHERE id = \(organisation)"
        var condition: SQL = ""
        if let from { condition += " AND a.created_at >= \(raw: from.sql(zone: zone))" }
        if let to { condition += " AND a.created_at < \(raw: to.sql(zone: zone))" }
        return condition
    }

    /// `from` and `to` of a query.
    static let range: [Field] = [
        .optional("from", .time, doc: "inclusive"),
        .optional("to", .time, doc: "exclusive", example: "2026-11-23T14:45:00.000Z"),
    ]
}
