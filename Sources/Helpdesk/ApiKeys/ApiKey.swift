import Functions
import Postgres

/// A key with which a machine calls the API, in a role of its own.
///
/// It may do what a user of that role may: an admin's key may make and delete keys too, and the audit says which key did.
enum ApiKey {
    typealias ID = Identifier<ApiKey>

    /// An `api_keys` row under the alias `k`; never its hash.
    static let record = Record(
        "ApiKey",
        [
            .init("id", .uuid, "k.id"),
            .init("orgId", .uuid, "k.org_id"),
            .init("name", .text, "k.name"),
            .init("role", .choice(["admin", "agent"]), "k.role"),
            .init("prefix", .text, "k.prefix", doc: "the key's first characters, to recognise it by"),
            .init("expiresAt", .time, "k.expires_at", nullable: true, doc: "null: never"),
            .init("lastUsedAt", .time, "k.last_used_at", nullable: true, doc: "to the minute"),
            .init("createdAt", .time, "k.created_at"),
        ]
    )
}
