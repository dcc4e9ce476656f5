import Connectors
import Foundation
import Functions
import Logging
import Postgres

/// Sends on one channel, and exchanges its access token where the provider takes it no more.
///
/// A refresh token may be good once: of all processes one exchanges it at a time, under a lock in the database, and stores what it
/// got before anybody else looks. Killed between the provider's answer and the commit, it leaves a channel whose token is gone
/// with it: the next exchange is refused, and the channel becomes `error` until somebody connects the account again.
struct ChannelOutlet: Sendable {
    private let channel: Channel.ID
    private let connector: any Connector
    private let providers: Providers
    private let scope: OrganisationScope

    /// A new token that is refused as well won't be exchanged again so soon, in seconds.
    private static let patience = 60

    /// What is locked by whoever gets a channel a new token: not its row, which others need meanwhile.
    static func exchangeKey(of channel: Channel.ID) -> String { "refresh \(channel)" }

    init(_ channel: Channel.ID, _ connector: any Connector, _ providers: Providers, _ scope: OrganisationScope) {
        self.channel = channel
        self.connector = connector
        self.providers = providers
        self.scope = scope
    }

    /// Sends one part of a message, its file first where there is one. Where the token had to be exchanged, or somebody else has, it is
    /// to be tried again at once.
    func send(
        _ message: OutboundMessage,
        through account: ChannelAccount,
        giving file: (OutgoingFile, until: Date)? = nil
    ) async -> SendReport {
        var message = message
        var refusal: SendResult?
        if let file {
            switch await connector.upload(file.0, through: account, at: providers, until: file.until) {
            case .uploaded(let id): message.uploadId = id
            case .refused(let result): refusal = result
            }
        }
        var report: SendReport
        if let refusal {
            report = SendReport(refusal)
        } else {
            report = await connector.send(message, through: account, at: providers)
        }
        guard case .expired(let fault) = report.result else { return report }
        do {
            report.result = try await exchange(account, fault)
        } catch {
            scope.services.logger.warning(
                "an access token could not be exchanged",
                metadata: ["channel": "\(channel)", "error": "\(error)"]
            )
            report.result = .retry(after: nil, fault)
        }
        return report
    }

    /// The provider's ids of what it shows that says the same, from the attempt on: clocks differ by a little.
    func sent(_ message: OutboundMessage, since moment: Date, through account: ChannelAccount) async -> [String] {
        await connector.sent(message, since: moment.addingTimeInterval(-5), through: account, at: providers)
    }

    /// - Returns: `retry` where there is another token by now, `channel` where a person has to act.
    private func exchange(_ stale: ChannelAccount, _ fault: SendFault) async throws -> SendResult {
        let again = SendResult.retry(after: .zero, fault)
        return try await scope.transaction(timeout: .seconds(25)) { transaction in
            let key = Self.exchangeKey(of: channel)
            let rows = try await transaction.run([
                // Whoever waits holds a ticket's lease meanwhile.
                "SELECT set_config('lock_timeout', '3s', true)",
                "SELECT pg_advisory_xact_lock(hashtextextended(\(key)::text, 0))",
                """
                SELECT c.settings, c.credentials,
                       coalesce(c.refreshed_at > clock_timestamp() - make_interval(secs => \(Self.patience)::integer), false)
                           AS is_fresh
                  FROM channels AS c
                 WHERE c.org_id = \(transaction.organisation) AND c.id = \(channel) AND c.deleted_at IS NULL
                """,
            ])
            guard let row = rows[2].first else { return .channel(fault) }
            let sealed = try row.optional("credentials", as: [UInt8].self)
            let credentials = try ChannelCredentials.open(sealed, of: channel, with: scope.services.sealed)
            let account = ChannelAccount(channel, settings: try row.get("settings"), credentials: credentials)
            if account.credentials["accessToken"] != stale.credentials["accessToken"] { return again }
            guard try !row.get("is_fresh", as: Bool.self) else { return .channel(fault) }
            switch await connector.refresh(account, at: providers) {
            case .impossible: return .channel(fault)
            case .refused(let refusal): return .channel(refusal)
            case .failed(let failure): return .retry(after: nil, failure)
            case .refreshed(let new):
                let merged = credentials.merging(new)
                // Somebody who has put in other credentials meanwhile knows better.
                _ = try await transaction.query(
                    """
                    UPDATE channels
                       SET credentials = \(ChannelCredentials.seal(merged, for: channel, with: scope.services.sealed)),
                           refreshed_at = clock_timestamp(), updated_at = now()
                     WHERE org_id = \(transaction.organisation) AND id = \(channel) AND credentials = \(sealed)
                    """
                )
                transaction.announceChange(of: channel)
                return again
            }
        }
    }
}

extension SendFault {
    /// WhatsApp's code for a person who wants no marketing from us.
    static let stoppedMarketing = "131050"
}
