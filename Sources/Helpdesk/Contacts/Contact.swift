import Functions
import Postgres

/// A person who writes in, known by any number of ids on any number of channels.
///
/// One that was merged into another or erased is gone: its row stays for what refers to it, and nothing shows it.
enum Contact {
    typealias ID = Identifier<Contact>

    /// Columns of `contacts` under the alias `k`.
    static let record = Record(
        "Contact",
        [
            .init("id", .uuid, "k.id"),
            .init("orgId", .uuid, "k.org_id"),
            .init("name", .text, "k.name", nullable: true),
            .init("phone", .text, "k.phone", nullable: true),
            .init("handle", .text, "k.handle", nullable: true),
            .init("email", .text, "k.email", nullable: true),
            .init("optedOut", .boolean, "k.opted_out", doc: "gets no campaigns"),
            .init(
                "identities",
                .json,
                identities,
                doc:
                    "all by which the contact is known: a list of `{channelId, externalId}`; `channelId` is null for a number "
                    + "or address, which holds on every channel"
            ),
            .init("createdAt", .time, "k.created_at"),
            .init("updatedAt", .time, "k.updated_at"),
        ]
    )

    private static let identities: SQL = """
        coalesce((SELECT jsonb_agg(jsonb_build_object('channelId', i.channel_id, 'externalId', i.value)
                                   ORDER BY i.created_at, i.kind, i.value)
                    FROM contact_identities AS i
                   WHERE i.org_id = k.org_id AND i.contact_id = k.id AND i.kind <> 'former'), '[]')
        """

    /// ``record`` of one contact; no row where this organisation has no such contact any more.
    static func find(_ id: ID, in organisation: Organisation.ID) -> SQL {
        """
        SELECT \(raw: record.selectList)
          FROM contacts AS k
         WHERE k.org_id = \(organisation) AND k.id = \(id) AND k.gone_at IS NULL
        """
    }
}
