import Functions

/// What a role may do, in words for clients that hide what would be refused.
///
/// Told, not enforced: `access` in functions.yaml is what the host checks, and these say the same.
enum Permission {
    /// `<feature>.<read|create|update|delete|assign|send|manage>`, in alphabetical order.
    static func all(of role: Principal.Role) -> [String] {
        switch role {
        case .agent: everyone
        case .admin: (everyone + admins).sorted()
        }
    }

    private static let everyone = [
        "analytics.read",
        "campaigns.read",
        "channels.read",
        "contacts.read",
        "contacts.update",
        "macros.create",
        "macros.delete",
        "macros.read",
        "macros.update",
        "messages.read",
        "messages.send",
        "organisations.read",
        "tickets.read",
        "tickets.update",
        "users.read",
    ]

    private static let admins = [
        "api_keys.manage",
        "audit.read",
        "campaigns.create",
        "campaigns.manage",
        "campaigns.send",
        "channels.create",
        "channels.delete",
        "channels.update",
        "contacts.delete",
        "contacts.manage",
        "invites.create",
        "invites.delete",
        "invites.read",
        "macros.assign",
        "organisations.update",
        "tickets.assign",
        "tickets.create",
        "users.manage",
        "users.update",
        "webhook_endpoints.manage",
    ]
}
