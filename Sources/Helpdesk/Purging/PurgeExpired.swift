import Foundation
import Functions
import Logging
import Postgres

/// Deletes what is past its time: Idempotency-Keys, sessions, unprocessed events, statuses that never found their message,
/// events that no stream can ask for any more, old numbers of contacts, password resets, and mails that are done with.
///
/// `purge-expired` in functions.yaml: every hour. One organisation at a time, a round trip for a batch of each, so that no lock is
/// held for long; what it doesn't get to it finds again the next hour.
struct PurgeExpired: ScheduledFunction {
    /// Streams go 24 hours back; the rest is for readers that were away.
    private static let eventsKept = Duration.seconds(7 * 86_400)
    private static let mailsKept = Duration.seconds(7 * 86_400)
    private static let batch = 5000

    func run(in context: WorkContext) async throws {
        let before = context.now.addingTimeInterval(-Double(Self.eventsKept.components.seconds))
        let mailsBefore = context.now.addingTimeInterval(-Double(Self.mailsKept.components.seconds))
        let rows = try await context.services.postgres.query(
            """
            SELECT org_id FROM find_organisations_to_purge(\(before))
             UNION
            SELECT org_id FROM find_organisations_with_old_mail(\(mailsBefore))
            """
        )
        for row in rows {
            try Task.checkCancellation()
            let scope = context.organisation(try row.get("org_id"))
            var deleted = 0
            var waiting = statements(scope.organisation, eventsBefore: before, mailsBefore: mailsBefore)
            repeat {
                let counts = try await scope.run(waiting).map(\.affected)
                deleted += counts.reduce(0, +)
                // Those that found a whole batch may find more.
                waiting = zip(waiting, counts).filter { $1 >= Self.batch }.map(\.0)
            } while !waiting.isEmpty
            context.logger.info("purged", metadata: ["organisation": "\(scope.organisation)", "rows": "\(deleted)"])
        }
    }

    private func statements(_ org: Tenant.ID, eventsBefore: Date, mailsBefore: Date) -> [SQL] {
        [
            """
            DELETE FROM idempotency_keys
             WHERE org_id = \(org)
               AND (principal, key_hash) IN (
                       SELECT principal, key_hash
                         FROM idempotency_keys
                        WHERE org_id = \(org) AND expires_at <= now()
                        LIMIT \(Self.batch)
                   )
            """,
            """
            DELETE FROM sessions
             WHERE org_id = \(org)
               AND id IN (SELECT id FROM sessions WHERE org_id = \(org) AND expires_at <= now() LIMIT \(Self.batch))
            """,
            // Those of a session that goes on: each refresh leaves a used one behind.
            """
            DELETE FROM refresh_tokens
             WHERE org_id = \(org)
               AND hash IN (SELECT hash FROM refresh_tokens WHERE org_id = \(org) AND expires_at <= now() LIMIT \(Self.batch))
            """,
            """
            DELETE FROM unprocessed_events
             WHERE org_id = \(org)
               AND id IN (
                       SELECT id FROM unprocessed_events WHERE org_id = \(org) AND expires_at <= now() LIMIT \(Self.batch)
                   )
            """,
            """
            DELETE FROM early_statuses
             WHERE org_id = \(org) AND created_at <= now() - interval '24 hours'
            """,
            """
            -- The provider's last try and the last replay of an event that had the old number are past.
            DELETE FROM contact_identities
             WHERE org_id = \(org) AND kind = 'former' AND changed_at < now() - interval '31 days'
            """,
            """
            DELETE FROM webhook_deliveries
             WHERE org_id = \(org)
               AND id IN (
                       SELECT id FROM webhook_deliveries
                        WHERE org_id = \(org) AND created_at < \(eventsBefore) AND status <> 'pending'
                        LIMIT \(Self.batch)
                   )
            """,
            """
            DELETE FROM events
             WHERE org_id = \(org)
               AND id IN (SELECT id FROM events WHERE org_id = \(org) AND at < \(eventsBefore) LIMIT \(Self.batch))
            """,
            """
            DELETE FROM mails
             WHERE org_id = \(org)
               AND id IN (
                       SELECT id
                         FROM mails
                        WHERE org_id = \(org) AND created_at < \(mailsBefore) AND status <> 'queued'
                        LIMIT \(Self.batch)
                   )
            """,
            "DELETE FROM password_resets WHERE org_id = \(org) AND expires_at <= now()",
        ]
    }
}
