import Foundation
import Functions
import Logging
import Postgres

/// Deletes what is past its time: sessions that have ended with their refresh tokens, answers kept for Idempotency-Keys,
/// inbound messages that nobody replayed, early statuses of messages that never came, and old events.
///
/// `purge-expired` in functions.yaml: every hour. One organisation at a time, so a fault in one leaves the others clean; running
/// it twice at once does no harm.
struct PurgeExpired: ScheduledFunction {
    /// Streams resume at most 24 hours back; roll-ups and outgoing webhooks have long read what is a week old.
    private static let daysOfEvents = 7

    func run(in context: WorkContext) async throws {
        let rows = try await context.services.postgres.query(
            """
            SELECT org_id
              FROM find_organisations_to_purge(now() - make_interval(days => \(Self.daysOfEvents)::integer))
            """
        )
        var failure: (any Error)?
        for row in rows {
            do {
                try await purge(context.organisation(try row.get("org_id")))
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    private func purge(_ scope: OrganisationScope) async throws {
        let organisation = scope.organisation
        _ = try await scope.run([
            "DELETE FROM sessions WHERE org_id = \(organisation) AND expires_at <= now()",
            "DELETE FROM refresh_tokens WHERE org_id = \(organisation) AND expires_at <= now()",
            "DELETE FROM idempotency_keys WHERE org_id = \(organisation) AND expires_at <= now()",
            "DELETE FROM unprocessed_events WHERE org_id = \(organisation) AND expires_at <= now()",
            """
            DELETE FROM early_statuses
             WHERE org_id = \(organisation) AND created_at <= now() - interval '24 hours'
            """,
            """
            DELETE FROM events
             WHERE org_id = \(organisation) AND at < now() - make_interval(days => \(Self.daysOfEvents)::integer)
            """,
        ])
    }
}
