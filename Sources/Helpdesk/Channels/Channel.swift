import Functions
import Postgres

/// Where messages come from and go to: one account at one provider.
enum Channel {
    typealias ID = Identifier<Channel>

    /// What may be connected; each has a connector of its own.
    enum Kind: String, Sendable, CaseIterable {
        case whatsapp, instagram, facebook, twitter, linkedin, mock
    }

    /// What `channels` holds in the clear, under the alias `c`.
    static let stored = Record("StoredChannel", columns)

    /// What callers see of a channel; ``ChannelStore`` writes the two members that no column holds.
    static let record = Record(
        "Channel",
        columns + [
            .init(
                "credentials",
                .json,
                content: .map,
                doc: "by type; secrets show as •••• and their last 4 characters"
            ),
            .init("webhookUrl", .text, doc: "the address to give to the provider"),
        ]
    )

    private static let columns: [Record.Column] = [
        .init("id", .uuid, "c.id"),
        .init("orgId", .uuid, "c.org_id"),
        .init("type", .choice(Kind.allCases.map(\.rawValue)), "c.type"),
        .init("name", .text, "c.name"),
        .init("status", .choice(["active", "disabled", "error"]), "c.status"),
        .init("settings", .json, "c.settings", content: .map, doc: "by type; a mock channel's `outcome`"),
        .init("createdAt", .time, "c.created_at"),
        .init("updatedAt", .time, "c.updated_at"),
    ]
}
