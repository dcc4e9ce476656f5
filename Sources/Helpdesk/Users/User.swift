import Functions
import Postgres

/// A member of an organisation.
enum User {
    typealias ID = Identifier<User>

    static let roles = ["admin", "agent"]

    /// Why the rights of an organisation's last active admin stay.
    static let lastAdmin = Failure.conflict("An organisation needs an active admin, and this is the last one.")

    /// A `users` row under the alias `u`; never its password's hash.
    static let record = Record(
        "User",
        [
            .init("id", .uuid, "u.id"),
            .init("orgId", .uuid, "u.org_id"),
            .init("email", .text, "u.email"),
            .init("name", .text, "u.name"),
            .init("role", .choice(roles), "u.role"),
            .init("status", .choice(["active", "deactivated"]), "u.status"),
            .init("createdAt", .time, "u.created_at"),
            .init("lastLoginAt", .time, "u.last_login_at", nullable: true),
        ]
    )
}
