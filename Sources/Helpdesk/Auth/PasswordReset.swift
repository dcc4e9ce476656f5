import Foundation
import Functions
import Postgres
import Security

/// The right to set another password, once and for an hour, as it is mailed to a member.
enum PasswordReset {
    static let lifetime = Duration.seconds(3600)

    /// A new token: the organisation's id and 32 random bytes as base64url. That it names the organisation saves looking for
    /// one; it is good there alone.
    static func token(of organisation: Organisation.ID) -> String {
        let id = organisation.uuid.uuid
        return Base64.url.encode(withUnsafeBytes(of: id) { Array($0) } + randomBytes(32))
    }

    /// The organisation that a token names, if it is one.
    static func organisation(of token: String) -> Organisation.ID? {
        guard let bytes = Base64.url.decode(token), bytes.count == 48 else { return nil }
        let id = bytes.prefix(16).withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) }
        return Organisation.ID(UUID(uuid: id))
    }

    static func store(_ token: String, for user: User.ID, of organisation: Organisation.ID) -> SQL {
        """
        INSERT INTO password_resets (org_id, hash, user_id, expires_at)
        VALUES (\(organisation), \(Token.digest(token)), \(user),
                now() + make_interval(secs => \(lifetime.inSeconds)::double precision))
        """
    }

    /// The `user_id` of an active member whom a good token lets set another password.
    static func find(_ token: String, of organisation: Organisation.ID) -> SQL {
        """
        SELECT r.user_id
          FROM password_resets AS r
          JOIN users AS u ON u.org_id = r.org_id AND u.id = r.user_id AND u.status = 'active'
         WHERE r.org_id = \(organisation) AND r.hash = \(Token.digest(token)) AND r.expires_at > now()
        """
    }

    /// Uses a token up; of two who do it at once one affects a row.
    static func use(_ token: String, of organisation: Organisation.ID) -> SQL {
        """
        DELETE FROM password_resets
         WHERE org_id = \(organisation) AND hash = \(Token.digest(token)) AND expires_at > now()
        """
    }

    /// Ends every token of a member.
    static func forget(of user: User.ID, in organisation: Organisation.ID) -> SQL {
        "DELETE FROM password_resets WHERE org_id = \(organisation) AND user_id = \(user)"
    }
}
