import Functions
import Postgres
import Security

/// Ends the caller's session that a refresh token belongs to, its access tokens included.
///
/// `log-out` in functions.yaml: `POST /auth/logout`, both roles. A used token ends its session too. One that is unknown,
/// somebody else's or ended already: 204, and nothing happens.
struct LogOut: HTTPFunction {
    struct Input: Decodable, Sendable {
        let refreshToken: String
    }

    static let input = Shape<Input>(
        body: .json([
            .required("refreshToken", .text(1...512, .opaque), example: "4vF0zv2nW0Yq7rZ0rjTn1C8h6oWmK3xX0m1s5dQe9aA")
        ])
    )

    static let output: OutputDeclaration = .none

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let user = try context.member().user
        return try await context.transaction { transaction in
            let ended = try await transaction.query(
                """
                UPDATE sessions AS s
                   SET revoked_at = now(), revoked_reason = 'logout'
                  FROM refresh_tokens AS t
                 WHERE s.org_id = \(transaction.organisation) AND s.user_id = \(user) AND s.revoked_at IS NULL
                   AND t.org_id = s.org_id AND t.session_id = s.id AND t.hash = \(Token.digest(input.refreshToken))
                """
            )
            if ended.affected > 0 { _ = try await transaction.query(transaction.auditing("auth.logout", user)) }
            return .nothing
        }
    }
}
