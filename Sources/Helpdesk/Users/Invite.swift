import Functions
import Postgres

/// What lets somebody who was asked to become a member do so.
enum Invite {
    typealias ID = Identifier<Invite>

    /// An `invites` row under the alias `i`; never its token's digest.
    static let record = Record(
        "Invite",
        [
            .init("id", .uuid, "i.id"),
            .init("email", .text, "i.email"),
            .init("role", .choice(User.roles), "i.role"),
            .init("status", .choice(["pending"]), "i.status"),
            .init("expiresAt", .time, "i.expires_at"),
            .init("createdAt", .time, "i.created_at"),
        ]
    )
}
