import Functions
import Postgres
import Security

/// Gives the caller another password and ends their other sessions.
///
/// `change-password` in functions.yaml: `POST /auth/change-password`, both roles. Wrong guesses at the present password count
/// as failed log-ins of the caller, so a stolen access token guesses no better than a stranger.
///
/// - Throws: ``Failure/invalid(_:_:)-(String,_)`` for a wrong present password; ``Failure/tooMany(_:retryAfter:)`` after too
///   many of them.
struct ChangePassword: HTTPFunction {
    struct Input: Decodable, Sendable {
        let currentPassword: String
        let newPassword: String
    }

    static let input = Shape<Input>(
        body: .json([
            .required("currentPassword", .text(1...1024, .opaque), example: "correct horse battery staple"),
            .required("newPassword", .text(8...128, .opaque), example: "staple battery horse correct"),
        ])
    )

    static let output: OutputDeclaration = .none

    private static let wrong = Failure.invalid("/currentPassword", "is not the present password")

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let me = try context.member()
        let (userId, session) = (try me.user, try me.session)
        let rows = try await context.query(
            "SELECT email, password_hash FROM users WHERE org_id = \(me.organisation) AND id = \(userId)"
        )
        guard let row = rows.first else { throw Failure.unauthorized("A valid access token is needed.") }
        let known = try row.get("password_hash", as: String.self)
        let limit = try LogInLimit(email: row.get("email"), in: context)
        try await limit.check()
        guard try await context.services.passwords.verify(input.currentPassword, against: known).isRight else {
            try await limit.countFailure()
            throw Self.wrong
        }
        let hash = try await context.services.passwords.hash(input.newPassword)
        return try await context.transaction { transaction in
            let users = UserStore(transaction.organisation)
            let user = User.ID(userId)
            // Another one may have been set while this one was being checked.
            guard try await transaction.query(users.setPassword(hash, of: user, replacing: known)).affected == 1 else {
                throw Self.wrong
            }
            _ = try await transaction.run([
                users.endSessions(of: user, because: "password_change", except: session),
                PasswordReset.forget(of: user, in: transaction.organisation),
                transaction.auditing("auth.password_change", userId, changes: [.secret("password")]),
            ])
            return .nothing
        }
    }
}
