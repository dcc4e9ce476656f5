import Foundation
import Functions
import Postgres

/// The statements that hand out one organisation's events to its endpoints and keep what became of it.
struct WebhookStore {
    private let organisation: Organisation.ID

    init(_ organisation: Organisation.ID) {
        self.organisation = organisation
    }

    /// Makes the deliveries of events that have none yet, in commit order, and moves the position behind them.
    ///
    /// One at a time: who finds the position locked has nothing to do. `events` is how many were looked at, `is_waiting`
    /// whether there are some whose turn hasn't come, since a transaction that began earlier still runs.
    func handOut(_ most: Int) -> SQL {
        """
        WITH position AS (
            SELECT p.xid, p.place FROM webhook_positions AS p WHERE p.org_id = \(organisation) FOR UPDATE SKIP LOCKED
        ), page AS (
            SELECT e.xid, e.id, e.type, e.entity_id, e.at
              FROM position AS p
              JOIN events AS e ON e.org_id = \(organisation) AND (e.xid, e.id) > (p.xid, p.place)
             WHERE e.xid < pg_snapshot_xmin(pg_current_snapshot())
             ORDER BY e.xid, e.id
             LIMIT \(raw: SQL(stringLiteral: String(most)))
        ), made AS (
            INSERT INTO webhook_deliveries (org_id, endpoint_id, xid, place, type, object, at)
            SELECT w.org_id, w.id, e.xid, e.id, e.type, e.entity_id, e.at
              FROM page AS e
              JOIN webhook_endpoints AS w
                ON w.org_id = \(organisation) AND w.status = 'active' AND e.type = ANY (w.events) AND e.at >= w.created_at
                ON CONFLICT (org_id, endpoint_id, xid, place) DO NOTHING
        ), moved AS (
            UPDATE webhook_positions AS p
               SET xid = l.xid, place = l.id
              FROM (SELECT xid, id FROM page ORDER BY xid DESC, id DESC LIMIT 1) AS l
             WHERE p.org_id = \(organisation)
        )
        SELECT (SELECT count(*) FROM page) AS events,
               EXISTS (SELECT FROM events AS e
                        WHERE e.org_id = \(organisation) AND e.xid >= pg_snapshot_xmin(pg_current_snapshot())) AS is_waiting
        """
    }

    /// Takes deliveries that are due: each is put off by `lease` seconds, so that nobody else takes it meanwhile and somebody
    /// does should we not come back.
    func claim(_ most: Int, lease: Int) -> SQL {
        """
        WITH due AS (
            SELECT d.id
              FROM webhook_deliveries AS d
             WHERE d.org_id = \(organisation) AND d.status = 'pending' AND d.next_attempt_at <= now()
             ORDER BY d.next_attempt_at
             LIMIT \(raw: SQL(stringLiteral: String(most)))
               FOR UPDATE SKIP LOCKED
        )
        UPDATE webhook_deliveries AS d
           SET attempts = d.attempts + 1, first_attempted_at = coalesce(d.first_attempted_at, now()),
               last_attempted_at = now(), next_attempt_at = now() + make_interval(secs => \(lease)::integer)
          FROM due, webhook_endpoints AS w
         WHERE d.org_id = \(organisation) AND d.id = due.id AND w.org_id = d.org_id AND w.id = d.endpoint_id
        RETURNING d.id, d.endpoint_id, d.xid::text AS xid, d.place, d.type, d.object, d.at, d.attempts, d.first_attempted_at,
                  w.url, w.secret,
                  CASE WHEN w.old_secret_until > now() THEN w.old_secret END AS old_secret
        """
    }

    /// When the next of those that wait is due, as `next`; NULL where none waits.
    var nextDue: SQL {
        """
        SELECT min(d.next_attempt_at) AS next
          FROM webhook_deliveries AS d
         WHERE d.org_id = \(organisation) AND d.status = 'pending'
        """
    }

    /// Writes what became of an attempt. What was replayed or abandoned meanwhile stays as it is.
    func settle(_ delivery: ClaimedDelivery, _ verdict: WebhookVerdict, status: Int?) -> [SQL] {
        switch verdict {
        case .delivered:
            [
                """
                UPDATE webhook_deliveries
                   SET status = 'delivered', delivered_at = now(), response_status = \(status), error = NULL
                 WHERE org_id = \(organisation) AND id = \(delivery.id) AND status = 'pending'
                   AND attempts = \(delivery.attempts)
                """,
                """
                UPDATE webhook_endpoints SET failing_since = NULL
                 WHERE org_id = \(organisation) AND id = \(delivery.endpoint) AND failing_since IS NOT NULL
                """,
            ]
        case .again(let pause, let reason):
            [
                """
                UPDATE webhook_deliveries
                   SET next_attempt_at = now() + make_interval(secs => \(pause.inSeconds)::double precision),
                       response_status = \(status), error = \(reason)
                 WHERE org_id = \(organisation) AND id = \(delivery.id) AND status = 'pending'
                   AND attempts = \(delivery.attempts)
                """,
                failing(delivery.endpoint),
            ]
        case .failed(let reason):
            [
                """
                UPDATE webhook_deliveries
                   SET status = 'failed', response_status = \(status), error = \(reason)
                 WHERE org_id = \(organisation) AND id = \(delivery.id) AND status = 'pending'
                   AND attempts = \(delivery.attempts)
                """,
                failing(delivery.endpoint),
            ]
        case .gone:
            // The object was erased: not the endpoint's failure.
            [
                """
                UPDATE webhook_deliveries
                   SET status = 'failed', error = 'What the event was about is gone.'
                 WHERE org_id = \(organisation) AND id = \(delivery.id) AND status = 'pending'
                """
            ]
        }
    }

    private func failing(_ endpoint: WebhookEndpoint.ID) -> SQL {
        """
        UPDATE webhook_endpoints SET failing_since = now()
         WHERE org_id = \(organisation) AND id = \(endpoint) AND failing_since IS NULL
        """
    }

    /// Disables an endpoint that has done nothing but fail for `limit`, or that says it is gone; returns a row where it was
    /// active.
    func disable(_ endpoint: WebhookEndpoint.ID, reason: String, failingFor limit: Duration?) -> SQL {
        """
        UPDATE webhook_endpoints
           SET status = 'disabled', status_reason = \(reason), updated_at = now()
         WHERE org_id = \(organisation) AND id = \(endpoint) AND status = 'active'
           AND (\(limit == nil) OR failing_since < now() - make_interval(secs => \(limit?.inSeconds ?? 0)::double precision))
        RETURNING id
        """
    }

    /// Ends what waits for an endpoint that is disabled; a replay sends it once it is active again.
    func abandoning(_ endpoint: WebhookEndpoint.ID) -> SQL {
        """
        UPDATE webhook_deliveries
           SET status = 'failed', error = 'The endpoint was disabled.'
         WHERE org_id = \(organisation) AND endpoint_id = \(endpoint) AND status = 'pending'
        """
    }
}

/// A delivery that this process has to attempt.
struct ClaimedDelivery: Sendable {
    let id: WebhookDelivery.ID
    let endpoint: WebhookEndpoint.ID
    let event: EventReader.Row
    let attempts: Int
    let firstAttemptedAt: Date
    let url: String
    let secrets: [[UInt8]]

    init(_ row: PostgresRow) throws {
        id = try row.get("id")
        endpoint = try row.get("endpoint_id")
        let xid: String = try row.get("xid")
        let at: Date = try row.get("at")
        event = EventReader.Row(
            position: EventPosition(xid: UInt64(xid) ?? 0, id: try row.get("place")),
            type: try row.get("type"),
            entity: try row.get("object"),
            at: at
        )
        attempts = try row.get("attempts")
        firstAttemptedAt = try row.get("first_attempted_at")
        url = try row.get("url")
        let secret: [UInt8] = try row.get("secret")
        let old: [UInt8]? = try row.optional("old_secret")
        secrets = [secret] + (old.map { [$0] } ?? [])
    }
}
