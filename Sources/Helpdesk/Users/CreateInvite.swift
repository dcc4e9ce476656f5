import Foundation
import Functions
import Postgres
import Security

/// Asks somebody to become a member, by mail.
///
/// `create-invite` in functions.yaml: `POST /orgs/users/invites`, admins only. The link with the token is in the mail and in
/// this answer, and nowhere else. A second invite to one address revokes the first, in the same entry of the audit. That an
/// address is a user of another organisation shows only when the invite is accepted.
///
/// - Throws: ``Failure/conflict(_:)`` when the address is a member's of this organisation already, active or not.
struct CreateInvite: HTTPFunction {
    struct Input: Decodable, Sendable {
        let email: String
        let role: String
    }

    static let input = Shape<Input>(
        body: .json([
            .required("email", .email),
            .required("role", .choice(User.roles), example: "agent"),
        ])
    )

    static let output: OutputDeclaration = .object(
        Record(
            "CreatedInvite",
            Invite.record.columns + [.init("inviteUrl", .text, doc: "holds the token; shown in this answer only")]
        ),
        status: 201
    )

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        // An API key invites in the organisation's name.
        let credential = try context.member().credential
        let inviter: UUID? = if case .session(_, let user) = credential { user } else { nil }
        let lifetime = Duration.seconds(try context.integer("INVITE_TTL_HOURS") * 3600)
        let token = Token.random()
        let url = try context.publicURL("/accept-invite?token=\(token)")
        return try await context.transaction { transaction in
            let organisation = transaction.organisation
            let found = try await transaction.run([
                UserStore(organisation).lockMembership,
                "SELECT 1 FROM users WHERE org_id = \(organisation) AND email_folded = fold(\(input.email)::text)",
                """
                UPDATE invites
                   SET status = 'revoked', updated_at = now()
                 WHERE org_id = \(organisation) AND email_folded = fold(\(input.email)::text) AND status = 'pending'
                RETURNING id::text
                """,
                """
                SELECT o.name AS organisation,
                       coalesce(
                           (SELECT u.name FROM users AS u WHERE u.org_id = o.id AND u.id = \(inviter)), o.name
                       ) AS inviter
                  FROM organisations AS o
                 WHERE o.id = \(organisation)
                """,
            ])
            guard found[1].isEmpty else { throw Failure.conflict("This address is a member's already.") }
            guard let names = found[3].first else { throw Failure.notFound("organisation") }
            let id = Invite.ID()
            var changes = [
                AuditChange("email", from: nil, to: .string(input.email)),
                AuditChange("role", from: nil, to: .string(input.role)),
            ]
            if let revoked = try found[2].first?.get("id", as: String.self) {
                changes.append(AuditChange("revokedInvite", from: nil, to: .string(revoked)))
            }
            let letter = try Self.letter(
                to: input.email,
                from: names.get("inviter"),
                of: names.get("organisation"),
                url: url,
                lifetime: lifetime
            )
            let written = try await transaction.run([
                """
                INSERT INTO invites AS i (org_id, id, email, role, token_hash, invited_by, expires_at)
                VALUES (\(organisation), \(id), \(input.email), \(input.role), \(Token.digest(token)), \(inviter),
                        now() + make_interval(secs => \(lifetime.inSeconds)::double precision))
                RETURNING \(raw: Invite.record.selectList)
                """,
                transaction.auditing("invite.create", id.uuid, changes: changes),
                transaction.mailing(letter),
            ])
            return Answer.object(status: 201) {
                Invite.record.write(membersOf: written[0], row: 0, into: &$0)
                $0.member("inviteUrl", url)
            }
        }
    }

    private static func letter(
        to recipient: String,
        from inviter: String,
        of organisation: String,
        url: String,
        lifetime: Duration
    ) -> Letter {
        let hours = Int(lifetime.components.seconds / 3600)
        let time = hours % 24 == 0 && hours > 24 ? "\(hours / 24) days" : "\(hours) hour\(hours == 1 ? "" : "s")"
        return Letter(
            to: recipient,
            subject: "\(inviter) invites you to \(organisation) on DelightChat",
            text: """
                Hello,

                \(inviter) invites you to answer the customers of \(organisation) on DelightChat. Choose a password here \
                within \(time):

                \(url)

                If you don't know them, ignore this mail.
                """,
            lifetime: lifetime
        )
    }
}
