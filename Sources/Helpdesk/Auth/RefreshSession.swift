import Foundation
import Functions
import Postgres
import Security

/// Trades a refresh token for the next pair of tokens.
///
/// `refresh-session` in functions.yaml: `POST /auth/refresh`, public. A token works once: one that comes again was copied, so
/// its whole session ends, whoever of the two came second. Within `REFRESH_GRACE` (none unless set) it answers with the same
/// successor instead. Of two uses at the same instant one is the first.
///
/// - Throws: ``Failure/unauthorized(_:)`` with one body for an unknown, used, expired or revoked token;
///   ``Failure/tooMany(_:retryAfter:)`` after too many of them from one address.
struct RefreshSession: HTTPFunction {
    struct Input: Decodable, Sendable {
        let refreshToken: String
    }

    static let input = Shape<Input>(
        body: .json([
            .required("refreshToken", .text(1...512, .opaque), example: "4vF0zv2nW0Yq7rZ0rjTn1C8h6oWmK3xX0m1s5dQe9aA")
        ])
    )

    static let output: OutputDeclaration = .object(Record("SessionTokens", SessionTokens.columns))

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let hash = Token.digest(input.refreshToken)
        let refusal = Failure.unauthorized("The refresh token is not valid.")
        return try await context.limitingWrongTokens(refusal: refusal) {
            let found = try await context.services.postgres.query(
                "SELECT find_refresh_token(\(hash)::bytea) AS org_id"
            )
            guard let organisation = try found.first?.optional("org_id", as: Organisation.ID.self) else { return nil }
            // The end of a session that was copied has to be committed, so the refusal comes after the transaction.
            return try await context.opening(organisation).transaction { transaction -> Answer? in
                try await self.answer(to: hash, in: transaction, context)
            }
        }
    }

    /// The token's row and what it belongs to, both locked against another use at the same time.
    private struct Found {
        let session: UUID
        let user: User.ID
        let role: String
        let isAlive: Bool
        let isUsed: Bool
        /// The sealed successor, while it may still be told.
        let successor: [UInt8]?
    }

    /// `nil` refuses.
    private func answer(to hash: [UInt8], in transaction: Transaction, _ context: HTTPContext) async throws -> Answer? {
        let grace = try context.duration("REFRESH_GRACE")
        guard let found = try await find(hash, grace: grace, in: transaction), found.isAlive else { return nil }
        let organisation = transaction.organisation
        let tokens: SessionTokens
        if !found.isUsed {
            tokens = try SessionTokens(session: found.session, in: context)
            let sealed = grace > .zero ? seal(tokens.refreshToken, context) : nil
            _ = try await transaction.run(
                tokens.prolonging(organisation) + [
                    """
                    UPDATE refresh_tokens
                       SET used_at = now(), successor_hash = \(tokens.refreshTokenHash), successor_sealed = \(sealed)
                     WHERE org_id = \(organisation) AND hash = \(hash)
                    """
                ]
            )
        } else if let successor = found.successor {
            tokens = try SessionTokens(session: found.session, refreshToken: open(successor, context), in: context)
        } else {
            _ = try await transaction.run([
                """
                UPDATE sessions
                   SET revoked_at = now(), revoked_reason = 'token_reuse'
                 WHERE org_id = \(organisation) AND id = \(found.session)
                """,
                transaction.auditing("auth.token_reuse", found.user.uuid),
            ])
            return nil
        }
        return Answer.object {
            tokens.write(for: found.user, of: organisation, role: found.role, in: context, into: &$0)
        }
    }

    private func find(_ hash: [UInt8], grace: Duration, in transaction: Transaction) async throws -> Found? {
        let rows = try await transaction.query(
            """
            SELECT s.id AS session_id, u.id AS user_id, u.role,
                   s.revoked_at IS NULL AND s.expires_at > now() AND t.expires_at > now() AND u.status = 'active' AS alive,
                   t.used_at IS NOT NULL AS used,
                   CASE WHEN t.used_at + make_interval(secs => \(grace.inSeconds)::double precision) > now()
                        THEN t.successor_sealed END AS successor
              FROM refresh_tokens AS t
              JOIN sessions AS s ON s.org_id = t.org_id AND s.id = t.session_id
              JOIN users AS u ON u.org_id = s.org_id AND u.id = s.user_id
             WHERE t.org_id = \(transaction.organisation) AND t.hash = \(hash)
               FOR UPDATE OF t, s
            """
        )
        return try rows.first.map { row in
            Found(
                session: try row.get("session_id"),
                user: try row.get("user_id"),
                role: try row.get("role"),
                isAlive: try row.get("alive"),
                isUsed: try row.get("used"),
                successor: try row.optional("successor")
            )
        }
    }

    private static let sealContext = "refresh-successor"

    private func seal(_ token: String, _ context: HTTPContext) -> [UInt8] {
        context.services.sealed.seal(Array(token.utf8), for: Self.sealContext)
    }

    private func open(_ sealed: [UInt8], _ context: HTTPContext) throws -> String {
        String(decoding: try context.services.sealed.open(sealed, for: Self.sealContext), as: UTF8.self)
    }
}
