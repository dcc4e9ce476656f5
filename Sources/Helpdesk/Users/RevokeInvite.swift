import Functions
import Postgres

/// Takes an invite back before it is accepted.
///
/// `revoke-invite` in functions.yaml: `DELETE /orgs/users/invites/:id`, admins only. From then on its token is as good as
/// none. Of a revocation and an acceptance at the same instant one happens.
///
/// - Throws: ``Failure/notFound(_:)`` when there is no such invite that can still be accepted, or it is another
///   organisation's.
struct RevokeInvite: HTTPFunction {
    struct Input: Decodable, Sendable {
        let id: Invite.ID
    }

    static let input = Shape<Input>(path: [.required("id", .uuid)])

    static let output: OutputDeclaration = .none

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let revoked = try await transaction.query(
                """
                UPDATE invites
                   SET status = 'revoked', updated_at = now()
                 WHERE org_id = \(transaction.organisation) AND id = \(input.id) AND status = 'pending'
                   AND expires_at > now()
                RETURNING email
                """
            )
            guard let row = revoked.first else { throw Failure.notFound("invite") }
            let email = AuditChange("email", from: .string(try row.get("email")), to: nil)
            _ = try await transaction.query(
                transaction.auditing("invite.revoke", input.id.uuid, changes: [email])
            )
            return .nothing
        }
    }
}
