import Connectors
import Foundation
import Functions
import Logging
import Postgres

/// Renews access tokens that live for a time before they end: those of Instagram's own log-in, which live for 60 days.
///
/// `renew-tokens` in functions.yaml: every ten minutes. A token is renewed after 30 days, and once when it has been put in, since
/// nobody knows how old it was then; the new one is stored in the transaction that holds the right to ask for it. What fails
/// is tried again after an hour. A token that the provider takes no more makes the channel `error`, until somebody puts in
/// another one. Running it twice at once renews once: the old token stays good, so that whoever was killed before storing the
/// new one has lost nothing.
struct RenewTokens: ScheduledFunction {
    private static let most = 50

    func run(in context: WorkContext) async throws {
        let providers = try Providers.shared(context)
        let due = try await context.services.postgres.query(
            "SELECT org_id, channel_id FROM find_tokens_to_renew(\(Self.most)::integer)"
        )
        for row in due {
            try Task.checkCancellation()
            let channel: Channel.ID = try row.get("channel_id")
            let scope = context.organisation(try row.get("org_id"))
            do {
                try await renew(channel, scope, providers)
            } catch  where (error as? PostgresError)?.isUnavailable != true && !(error is CancellationError) {
                // Its own trouble: others' tokens don't wait for it.
                scope.services.logger.warning(
                    "a token could not be renewed",
                    metadata: ["channel": "\(channel)", "error": "\(error)"]
                )
            }
        }
    }

    private func renew(_ channel: Channel.ID, _ scope: OrganisationScope, _ providers: Providers) async throws {
        let org = scope.organisation
        try await scope.transaction(timeout: .seconds(25)) { transaction in
            let key = ChannelOutlet.exchangeKey(of: channel)
            let rows = try await transaction.run([
                "SELECT set_config('lock_timeout', '3s', true)",
                "SELECT pg_advisory_xact_lock(hashtextextended(\(key)::text, 0))",
                """
                SELECT c.type, c.settings, c.credentials
                  FROM channels AS c
                 WHERE c.org_id = \(org) AND c.id = \(channel) AND c.deleted_at IS NULL
                   AND (c.token_due_at IS NULL OR c.token_due_at <= clock_timestamp())
                """,
            ])
            guard let row = rows[2].first else { return }
            let sealed = try row.optional("credentials", as: [UInt8].self)
            let credentials = try ChannelCredentials.open(sealed, of: channel, with: scope.services.sealed)
            let account = ChannelAccount(channel, settings: try row.get("settings"), credentials: credentials)
            let connector = Connectors.connector(for: try row.get("type"))
            switch await connector.refresh(account, at: providers) {
            case .impossible: _ = try await transaction.run([putOff(channel, by: 86_400, org)])
            case .failed(let fault):
                log(fault, channel, scope)
                _ = try await transaction.run([putOff(channel, by: 3600, org)])
            case .refused(let fault):
                log(fault, channel, scope)
                _ = try await transaction.run([
                    DeliveryStore.holding(channel, fault, in: org), putOff(channel, by: 86_400, org),
                ])
                transaction.announceChange(of: channel)
            case .refreshed(let new):
                let merged = credentials.merging(new)
                // Somebody who has put in other credentials meanwhile knows better.
                _ = try await transaction.run([
                    """
                    UPDATE channels
                       SET credentials = \(ChannelCredentials.seal(merged, for: channel, with: scope.services.sealed)),
                           refreshed_at = clock_timestamp(), token_due_at = clock_timestamp() + interval '30 days',
                           updated_at = now()
                     WHERE org_id = \(org) AND id = \(channel) AND credentials = \(sealed)
                    """
                ])
                transaction.announceChange(of: channel)
            }
        }
    }

    private func putOff(_ channel: Channel.ID, by seconds: Int, _ org: Organisation.ID) -> SQL {
        """
        UPDATE channels
           SET token_due_at = clock_timestamp() + make_interval(secs => \(seconds)::integer)
         WHERE org_id = \(org) AND id = \(channel)
        """
    }

    private func log(_ fault: SendFault, _ channel: Channel.ID, _ scope: OrganisationScope) {
        scope.services.logger.warning(
            "a token was not renewed",
            metadata: ["channel": "\(channel)", "code": "\(fault.code)", "reason": "\(fault.message)"]
        )
    }
}

extension JSON {
    /// Credentials with those that a provider has given anew.
    func merging(_ new: [String: String]) -> JSON {
        merging(.object(new.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) }))
    }
}
