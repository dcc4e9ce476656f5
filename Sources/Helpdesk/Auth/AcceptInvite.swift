import Foundation
import Functions
import Postgres
import Security

/// Makes a member of who holds an invite's token, and logs them in.
///
/// `accept-invite` in functions.yaml: `POST /auth/accept-invite`, public. The address and the role are the invite's. Of two
/// who accept at the same instant one becomes the member.
///
/// - Throws: ``Failure/unauthorized(_:)`` with one body for an unknown, used, revoked or expired token;
///   ``Failure/conflict(_:)`` when the address has a user meanwhile, in whichever organisation, and the invite stays;
///   ``Failure/tooMany(_:retryAfter:)`` after too many wrong tokens from one address.
struct AcceptInvite: HTTPFunction {
    struct Input: Decodable, Sendable {
        let token: String
        let name: String
        let password: String
    }

    static let input = Shape<Input>(
        body: .json([
            .required(
                "token",
                .text(1...512, .opaque),
                doc: "of the invite's link",
                example: "4vF0zv2nW0Yq7rZ0rjTn1C8h6oWmK3xX0m1s5dQe9aA"
            ),
            .required("name", .text(1...200, .name), example: "Joe Bloggs"),
            .required("password", .text(8...128, .opaque), example: "correct horse battery staple"),
        ])
    )

    static let output: OutputDeclaration = .object(
        Record("InviteAccepted", [.init("user", .object(User.record.columns))] + SessionTokens.columns),
        status: 201
    )

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let refusal = Failure.unauthorized("The invite is not valid.")
        return try await context.limitingWrongTokens(refusal: refusal) {
            let found = try await context.services.postgres.query(
                "SELECT org_id, invite_id FROM find_invite(\(Token.digest(input.token))::bytea)"
            )
            guard let row = found.first else { return nil }
            // Only now: a flood of wrong tokens costs no hashes.
            let hash = try await context.services.passwords.hash(input.password)
            do {
                return try await join(
                    row.get("org_id"),
                    by: row.get("invite_id"),
                    as: input.name,
                    passwordHash: hash,
                    in: context
                )
            } catch let error as PostgresError where Self.takenAddress.contains(error.constraint ?? "") {
                throw Failure.conflict("This e-mail address is taken.")
            }
        }
    }

    private static let takenAddress = ["email_directory_pkey", "users_org_id_email_folded_key"]

    /// `nil` when the invite was used or taken back meanwhile.
    private func join(
        _ organisation: Organisation.ID,
        by invite: Invite.ID,
        as name: String,
        passwordHash: String,
        in context: HTTPContext
    ) async throws -> Answer? {
        let user = User.ID()
        let tokens = try SessionTokens(in: context)
        return try await context.opening(organisation, actor: .user(user.uuid)).transaction { transaction in
            let invites = try await transaction.query(
                """
                SELECT i.email, i.role
                  FROM invites AS i
                 WHERE i.org_id = \(organisation) AND i.id = \(invite) AND i.status = 'pending' AND i.expires_at > now()
                   FOR NO KEY UPDATE
                """
            )
            guard let row = invites.first else { return nil }
            let email = try row.get("email", as: String.self)
            let role = try row.get("role", as: String.self)
            let changes = [
                AuditChange("email", from: nil, to: .string(email)), AuditChange("role", from: nil, to: .string(role)),
            ]
            let written = try await transaction.run(
                [
                    """
                    INSERT INTO users AS u (org_id, id, email, name, role, password_hash, last_login_at)
                    VALUES (\(organisation), \(user), \(email), \(name), \(role), \(passwordHash), now())
                    RETURNING \(raw: User.record.selectList)
                    """,
                    """
                    UPDATE invites
                       SET status = 'accepted', user_id = \(user), updated_at = now()
                     WHERE org_id = \(organisation) AND id = \(invite)
                    """,
                ] + tokens.opening(organisation, user)
                    + [transaction.auditing("invite.accept", invite.uuid, changes: changes)]
            )
            return Answer.object(status: 201) {
                $0.name("user")
                User.record.write(written[0], row: 0, into: &$0)
                tokens.write(for: user, of: organisation, role: role, in: context, into: &$0)
            }
        }
    }
}
