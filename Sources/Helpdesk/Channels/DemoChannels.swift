package import Foundation
import Functions
package import Postgres
package import Security

/// Channels of the demo organisation that lead to simulated providers.
package enum DemoChannels {
    /// Makes a channel for each account, or gives the one that is there its credentials anew.
    ///
    /// - Parameters:
    ///   - accounts: each of another kind of channel.
    ///   - organisation: the demo's.
    ///   - postgres: as the owner or the application.
    ///   - sealed: by `ENCRYPTION_KEY`.
    /// - Returns: the channels' ids by kind.
    /// - Throws: what the database does.
    package static func connect(
        _ accounts: [(kind: String, credentials: [(name: String, value: String)])],
        of organisation: UUID,
        _ postgres: Postgres,
        _ sealed: Sealed
    ) async throws -> [String: String] {
        try await postgres.transaction(opening: ["SELECT enter_organisation(\(organisation))"]) { connection in
            var ids: [String: String] = [:]
            for account in accounts {
                let name = "Simulated \(account.kind)"
                let found = try await connection.query(
                    """
                    SELECT id FROM channels
                     WHERE org_id = \(organisation) AND type = \(account.kind) AND name = \(name) AND deleted_at IS NULL
                     LIMIT 1
                    """
                )
                let id = try found.first?.get("id", as: Channel.ID.self) ?? Channel.ID()
                let credentials = JSON.object(account.credentials.map { JSON.Member($0.name, .string($0.value)) })
                let secret = ChannelCredentials.seal(credentials, for: id, with: sealed)
                _ = try await connection.query(
                    """
                    INSERT INTO channels (org_id, id, type, name, credentials)
                    VALUES (\(organisation), \(id), \(account.kind), \(name), \(secret))
                    ON CONFLICT (org_id, id) DO UPDATE SET credentials = excluded.credentials, updated_at = now()
                    """
                )
                ids[account.kind] = id.description
            }
            return ids
        }
    }
}
