import Foundation
import Functions
import Postgres

/// Changes what is known of a contact.
///
/// `update-contact` in functions.yaml: `PATCH /orgs/:orgId/contacts/:contactId`, both roles. An e-mail address is also what the
/// contact is found by, so no two contacts have one. The audit names the fields that changed and tells no values: it outlives
/// the contact's erasure. What changes nothing records nothing.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent, gone or another organisation's; ``Failure/conflict(_:)`` for another
///   contact's address.
struct UpdateContact: HTTPFunction {
    struct Input: Decodable, Sendable {
        let contactId: Contact.ID
        let name: Patch<String>
        let email: Patch<String>
        let optedOut: Bool?
    }

    static let input = Shape<Input>(
        path: [.required("contactId", .uuid)],
        body: .json([
            .patch("name", .text(1...200, .name), clearable: true, example: "Jane Doe"),
            .patch("email", .email, clearable: true),
            .patch("optedOut", .boolean, doc: "gets no campaigns"),
        ])
    )

    static let output: OutputDeclaration = .object(Contact.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let (organisation, id) = (transaction.organisation, input.contactId)
            let found = try await transaction.query(
                """
                SELECT k.name, k.email, k.opted_out
                  FROM contacts AS k
                 WHERE k.org_id = \(organisation) AND k.id = \(id) AND k.gone_at IS NULL
                   FOR NO KEY UPDATE
                """
            )
            guard let old = found.first else { throw Failure.notFound("contact") }
            let oldName = try old.optional("name", as: String.self)
            let oldEmail = try old.optional("email", as: String.self)
            let wasOptedOut = try old.get("opted_out", as: Bool.self)
            let name = input.name.applied(to: oldName)
            let email = input.email.applied(to: oldEmail)
            let isOptedOut = input.optedOut ?? wasOptedOut

            var changed: [String] = []
            if JSON.text(name) != .text(oldName) { changed.append("name") }
            if JSON.text(email) != .text(oldEmail) {
                changed.append("email")
                try await Self.identify(id, by: email, insteadOf: oldEmail, in: transaction)
            }
            if isOptedOut != wasOptedOut { changed.append("optedOut") }
            var statements: [SQL] = []
            if !changed.isEmpty {
                statements = [
                    """
                    UPDATE contacts
                       SET name = \(name), email = \(email), opted_out = \(isOptedOut), updated_at = now(),
                           -- A STOP or START that was accepted earlier and is stored later changes nothing.
                           opted_out_changed_at = CASE WHEN opted_out = \(isOptedOut) THEN opted_out_changed_at
                                                       ELSE now_micros() END
                     WHERE org_id = \(organisation) AND id = \(id)
                    """,
                    transaction.auditing("contact.update", id.uuid, changes: changed.map(AuditChange.untold)),
                ]
            }
            let results = try await transaction.run(statements + [Contact.find(id, in: organisation)])
            return Answer.row(results[statements.count], Contact.record)
        }
    }

    private static func identify(
        _ id: Contact.ID,
        by email: String?,
        insteadOf old: String?,
        in transaction: Transaction
    ) async throws {
        let organisation = transaction.organisation
        let results = try await transaction.run([
            """
            DELETE FROM contact_identities
             WHERE org_id = \(organisation) AND contact_id = \(id) AND kind = 'email' AND value = fold(\(old))
            """,
            """
            INSERT INTO contact_identities (org_id, kind, value, contact_id)
            SELECT \(organisation)::uuid, 'email', fold(\(email)::text), \(id)::uuid WHERE \(email)::text IS NOT NULL
            ON CONFLICT DO NOTHING
            """,
            """
            SELECT contact_id
              FROM contact_identities
             WHERE org_id = \(organisation) AND scope = '00000000-0000-0000-0000-000000000000' AND kind = 'email'
               AND value = fold(\(email))
            """,
        ])
        guard let owner = try results[2].first?.get("contact_id", as: Contact.ID.self), owner != id else { return }
        throw Failure.conflict("Another contact has this e-mail address. Merge them to make them one.")
    }
}

extension AuditChange {
    /// That a field changed, without its values.
    static func untold(_ field: String) -> AuditChange {
        AuditChange(field, from: .null, to: .null)
    }
}
