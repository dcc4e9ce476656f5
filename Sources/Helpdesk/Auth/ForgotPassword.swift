import Foundation
import Functions
import Postgres

/// Mails a link with which a member who forgot the password sets another one.
///
/// `forgot-password` in functions.yaml: `POST /auth/forgot-password`, public. Who has no user here or is deactivated gets the
/// same answer after the same time, and no mail. Links that were sent before stay good for their hour.
///
/// - Throws: ``Failure/tooMany(_:retryAfter:)`` when asked too often, whether or not there is such a user.
struct ForgotPassword: HTTPFunction {
    struct Input: Decodable, Sendable {
        let email: String
    }

    static let input = Shape<Input>(body: .json([.required("email", .email)]))

    static let output: OutputDeclaration = .object(
        Record("PasswordResetRequested", [.init("message", .text, doc: "the same for every address")]),
        status: 202
    )

    /// Longer than writing a mail takes, so that the time to the answer doesn't tell whether one was written.
    private static let pace = Duration.milliseconds(300)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let answered = ContinuousClock.now + Self.pace
        try await context.passwordResetLimit(input.email).count()
        let rows = try await context.services.postgres.query(
            "SELECT org_id, user_id, email, name, status FROM find_login(\(input.email)::text)"
        )
        if let row = rows.first, try row.get("status", as: String.self) == "active" {
            try await send(
                to: row.get("user_id"),
                named: row.get("name"),
                at: row.get("email"),
                of: row.get("org_id"),
                in: context
            )
        }
        try await Task.sleep(until: answered, clock: .continuous)
        return Answer.object(status: 202) {
            $0.member("message", "If this address has a user, a mail with a link is on its way.")
        }
    }

    private func send(
        to user: User.ID,
        named name: String,
        at email: String,
        of organisation: Organisation.ID,
        in context: HTTPContext
    ) async throws {
        let token = PasswordReset.token(of: organisation)
        let letter = Letter(
            to: email,
            subject: "Set a new password for DelightChat",
            text: """
                Hello \(name),

                somebody, probably you, asked for a new password for your DelightChat account. Set it here within an hour:

                \(try context.publicURL("/reset-password?token=\(token)"))

                If it was not you, ignore this mail: your password stays as it is.
                """,
            lifetime: PasswordReset.lifetime
        )
        try await context.opening(organisation).transaction { transaction in
            _ = try await transaction.run([
                PasswordReset.store(token, for: user, of: organisation), transaction.mailing(letter),
            ])
        }
    }
}
