import Functions
import Postgres
import Security

/// Sets another password for who holds the token of a mailed link, and ends every session of that member.
///
/// `reset-password` in functions.yaml: `POST /auth/reset-password`, public. A token works once and for an hour; the member's
/// other tokens end with it.
///
/// - Throws: ``Failure/unauthorized(_:)`` with one body for an unknown, used or expired token and a deactivated member's;
///   ``Failure/tooMany(_:retryAfter:)`` after too many of them from one address.
struct ResetPassword: HTTPFunction {
    struct Input: Decodable, Sendable {
        let token: String
        let password: String
    }

    static let input = Shape<Input>(
        body: .json([
            .required("token", .text(1...512, .opaque), doc: "of the mailed link", example: "AZNvXnoAcACAAAAAAAAAAQ"),
            .required("password", .text(8...128, .opaque), example: "correct horse battery staple"),
        ])
    )

    static let output: OutputDeclaration = .none

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let refusal = Failure.unauthorized("The token is not valid.")
        return try await context.limitingWrongTokens(refusal: refusal) {
            guard let organisation = PasswordReset.organisation(of: input.token) else { return nil }
            let found = try await context.opening(organisation).query(PasswordReset.find(input.token, of: organisation))
            guard let user = try found.first?.get("user_id", as: User.ID.self) else { return nil }
            // Only now: a flood of wrong tokens costs no hashes.
            let hash = try await context.services.passwords.hash(input.password)
            return try await set(hash, for: user, of: organisation, with: input.token, in: context)
        }
    }

    /// `nil` when the token was used or the member deactivated meanwhile.
    private func set(
        _ hash: String,
        for user: User.ID,
        of organisation: Organisation.ID,
        with token: String,
        in context: HTTPContext
    ) async throws -> Answer? {
        try await context.opening(organisation, actor: .user(user.uuid)).transaction { transaction in
            let users = UserStore(organisation)
            // The member first, as everywhere: a deactivation takes both locks too.
            let found = try await transaction.run([users.lock(user), PasswordReset.use(token, of: organisation)])
            guard try found[0].first?.get("status", as: String.self) == "active", found[1].affected == 1 else {
                return nil
            }
            _ = try await transaction.run([
                users.setPassword(hash, of: user),
                users.endSessions(of: user, because: "password_reset"),
                PasswordReset.forget(of: user, in: organisation),
                transaction.auditing("auth.password_reset", user.uuid, changes: [.secret("password")]),
            ])
            return .nothing
        }
    }
}
