import Foundation
import Functions
import Postgres
import Security

/// Begins a session for an e-mail address and its password.
///
/// `log-in` in functions.yaml: `POST /auth/login`, public. An unknown address, a wrong password and a deactivated user
/// get one and the same answer after the work of one password hash. Failures count against the limits of
/// ``LogInLimit``, which need Redis: without it there is no log-in, since there would be no limit either.
///
/// - Throws: ``Failure/unauthorized(_:)`` for every wrong pair; ``Failure/tooMany(_:retryAfter:)`` over a limit, even with
///   the right password; 503 while the line for password hashes is full.
struct LogIn: HTTPFunction {
    struct Input: Decodable, Sendable {
        let email: String
        let password: String
    }

    static let input = Shape<Input>(
        body: .json([
            .required("email", .email),
            .required("password", .text(1...1024, .opaque), example: "correct horse battery staple"),
        ])
    )

    static let output: OutputDeclaration = .object(
        Record("LoggedIn", [.init("user", .object(User.record.columns))] + SessionTokens.columns)
    )

    private static let refusal = Failure.unauthorized("The e-mail address or the password is wrong.")

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let limit = try LogInLimit(email: input.email, in: context)
        try await limit.check()
        let known = try await account(of: input.email, in: context)
        let verdict = try await context.services.passwords.verify(input.password, against: known?.passwordHash)
        guard let known, verdict.isRight, known.isActive else {
            try await limit.countFailure()
            if let known { try await record(failureOf: known, in: context) }
            throw Self.refusal
        }
        try await limit.clear()
        // A hash of yesterday's cost is as good for one more log-in, so a full line doesn't stop this one.
        let renewed = verdict == .rightButOutdated ? try? await context.services.passwords.hash(input.password) : nil
        return try await open(known, renewedHash: renewed, in: context)
    }

    /// What is known of an address before its organisation is.
    private struct Account: Sendable {
        let organisation: Organisation.ID
        let user: User.ID
        let passwordHash: String
        let isActive: Bool
    }

    private func account(of email: String, in context: HTTPContext) async throws -> Account? {
        let rows = try await context.services.postgres.query(
            "SELECT org_id, user_id, status, password_hash FROM find_login(\(email)::text)"
        )
        return try rows.first.map { row in
            Account(
                organisation: try row.get("org_id"),
                user: try row.get("user_id"),
                passwordHash: try row.get("password_hash"),
                isActive: try row.get("status", as: String.self) == "active"
            )
        }
    }

    private func record(failureOf account: Account, in context: HTTPContext) async throws {
        try await context.opening(account.organisation).transaction { transaction in
            _ = try await transaction.query(transaction.auditing("auth.login_failed", account.user.uuid))
        }
    }

    /// Opens the session, unless the user was deactivated or got another password while this one was being checked.
    private func open(_ account: Account, renewedHash: String?, in context: HTTPContext) async throws -> Answer {
        let (organisation, user) = (account.organisation, account.user)
        let tokens = try SessionTokens(in: context)
        return try await context.opening(organisation, actor: .user(user.uuid)).transaction { transaction in
            let rows = try await transaction.query(
                """
                UPDATE users AS u
                   SET last_login_at = now(), password_hash = coalesce(\(renewedHash), u.password_hash)
                 WHERE u.org_id = \(organisation) AND u.id = \(user)
                   AND u.status = 'active' AND u.password_hash = \(account.passwordHash)
                RETURNING \(raw: User.record.selectList), u.role AS token_role
                """
            )
            guard let row = rows.first else { throw Self.refusal }
            let role = try row.get("token_role", as: String.self)
            _ = try await transaction.run(
                tokens.opening(organisation, user) + [transaction.auditing("auth.login", user.uuid)]
            )
            return Answer.object {
                $0.name("user")
                User.record.write(rows, row: 0, into: &$0)
                tokens.write(for: user, of: organisation, role: role, in: context, into: &$0)
            }
        }
    }
}
