import Foundation
import Functions
import Postgres
import Security

/// What a log-in hands out: a short-lived access token and the refresh token that gets the next pair.
///
/// The refresh token is 32 random bytes of which the database holds the SHA-256 only.
struct SessionTokens: Sendable {
    let session: UUID
    let refreshToken: String
    private let accessTTL: Duration
    private let refreshTTL: Duration

    /// Tokens of a session that goes on, or of a new one.
    init(session: UUID = UUID.v7(), in context: HTTPContext) throws {
        self.session = session
        refreshToken = Token.random()
        accessTTL = try context.duration("ACCESS_TTL")
        refreshTTL = try context.duration("REFRESH_TTL")
    }

    /// The same session with a refresh token that was handed out before.
    init(session: UUID, refreshToken: String, in context: HTTPContext) throws {
        self.session = session
        self.refreshToken = refreshToken
        accessTTL = try context.duration("ACCESS_TTL")
        refreshTTL = try context.duration("REFRESH_TTL")
    }

    var refreshTokenHash: [UInt8] { Token.digest(refreshToken) }

    /// The moment at which the refresh token ends, as an SQL expression.
    private var expiry: SQL { "now() + make_interval(secs => \(refreshTTL.inSeconds)::double precision)" }

    /// Begins the session of a user.
    func opening(_ organisation: Organisation.ID, _ user: User.ID) -> [SQL] {
        [
            """
            INSERT INTO sessions (org_id, id, user_id, expires_at)
            VALUES (\(organisation), \(session), \(user), \(raw: expiry))
            """,
            storing(organisation),
        ]
    }

    /// Prolongs the session.
    func prolonging(_ organisation: Organisation.ID) -> [SQL] {
        [
            """
            UPDATE sessions
               SET refreshed_at = now(), expires_at = \(raw: expiry)
             WHERE org_id = \(organisation) AND id = \(session)
            """,
            storing(organisation),
        ]
    }

    private func storing(_ organisation: Organisation.ID) -> SQL {
        """
        INSERT INTO refresh_tokens (org_id, hash, session_id, expires_at)
        VALUES (\(organisation), \(refreshTokenHash), \(session), \(raw: expiry))
        """
    }

    /// Adds `accessToken`, `refreshToken` and `expiresIn` (seconds) to an answer.
    func write(
        for user: User.ID,
        of organisation: Organisation.ID,
        role: String,
        in context: HTTPContext,
        into writer: inout JSONWriter
    ) {
        let token = AccessToken(
            sub: user.uuid,
            org: organisation.uuid,
            role: role,
            sid: session,
            now: context.now,
            lifetime: accessTTL
        )
        writer.member("accessToken", context.services.tokens.sign(token))
        writer.member("refreshToken", refreshToken)
        writer.member("expiresIn", Int(accessTTL.components.seconds))
    }

    /// How the three are described.
    static let columns: [Record.Column] = [
        .init("accessToken", .text, doc: "a JWT, sent as `Authorization: Bearer …`"),
        .init("refreshToken", .text, doc: "gets the next pair, once"),
        .init("expiresIn", .integer, doc: "seconds until the access token ends"),
    ]
}
