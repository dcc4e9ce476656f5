import Connectors
import Foundation
import Functions
import Postgres

/// The statements that send one ticket's messages, for whoever holds its lease.
struct DeliveryStore {
    /// How long a lease holds without a step; longer than any connector may take to send one message.
    static let lease = 30

    private let organisation: Organisation.ID
    private let ticket: Ticket.ID
    private let holder: UUID

    init(_ organisation: Organisation.ID, ticket: Ticket.ID, holder: UUID) {
        self.organisation = organisation
        self.ticket = ticket
        self.holder = holder
    }

    /// Takes or prolongs the lease and begins the next attempt; see `claim_delivery`.
    var claim: SQL {
        """
        SELECT *
          FROM claim_delivery(
                   \(organisation)::uuid, \(ticket)::uuid, \(holder)::uuid, make_interval(secs => \(Self.lease)::integer)
               )
        """
    }

    /// Holds the lease so many seconds from now on.
    func prolong(by seconds: Int) -> SQL {
        """
        UPDATE delivery_leases
           SET expires_at = clock_timestamp() + make_interval(secs => \(seconds)::integer)
         WHERE org_id = \(organisation) AND ticket_id = \(ticket) AND token = \(holder)
        """
    }

    /// Gives the lease back.
    var release: SQL {
        """
        DELETE FROM delivery_leases
         WHERE org_id = \(organisation) AND ticket_id = \(ticket) AND token = \(holder)
        """
    }

    /// Writes what became of a message; one that somebody else has settled meanwhile stays as it is.
    func settle(_ delivery: Delivery, _ verdict: DeliveryVerdict) -> [SQL] {
        switch verdict {
        case .accepted(let externalId, _) where delivery.part.part.count > 1:
            ["SELECT \(raw: settlingPart(delivery, externalId)) AS settled"]
        case .accepted(let externalId, let isDelivered):
            [
                settling(
                    delivery.id,
                    status: isDelivered ? "delivered" : "sent",
                    """
                    external_id = \(externalId), sent_at = clock_timestamp(),
                    delivered_at = \(raw: isDelivered ? "clock_timestamp()" : "delivered_at")
                    """
                )
            ]
        case .failed(let fault):
            optingOut(delivery, fault) + [
                settling(
                    delivery.id,
                    status: "failed",
                    "error_code = \(fault.code), error_message = \(fault.message), next_attempt_at = NULL"
                )
            ]
        case .again(let pause):
            [postponing(delivery.id, by: pause.inSeconds)]
        case .paced(let pause):
            // The channel first; see below.
            [Self.pacing(delivery.channel, by: pause, in: organisation), deferring(delivery.id, by: pause.inSeconds)]
        case .unknown: []
        case .held(let fault):
            // The channel first, as where somebody deletes or disables it: two that take both never wait in a circle.
            [Self.holding(delivery.channel, fault, in: organisation), waiting(delivery.id)]
        }
    }

    /// Gives the provider's webhooks time to tell what became of an attempt; until then nothing is sent.
    func awaiting(_ delivery: Delivery) -> SQL {
        """
        UPDATE messages
           SET evidence_until = clock_timestamp()
                              + make_interval(secs => \(DeliveryVerdict.evidencePatience.inSeconds)::double precision)
         WHERE org_id = \(organisation) AND id = \(delivery.id) AND status = 'queued'
        """
    }

    /// The provider's ids among these that no message has yet.
    func unclaimed(_ ids: [String], on channel: Channel.ID) -> SQL {
        """
        SELECT x.id
          FROM unnest(\(ids)::text[]) AS x (id)
         WHERE NOT EXISTS (
                   SELECT FROM messages AS m
                    WHERE m.org_id = \(organisation) AND m.channel_id = \(channel) AND m.external_id = x.id
               )
        """
    }

    /// Makes the number under which the provider knows the recipient one of the contact's.
    func naming(_ delivery: Delivery, _ alias: Sender) -> SQL {
        """
        SELECT name_person(m.org_id, m.channel_id, m.contact_id, \(alias.json.text)::jsonb)
          FROM messages AS m
         WHERE m.org_id = \(organisation) AND m.id = \(delivery.id)
        """
    }

    private func settlingPart(_ delivery: Delivery, _ externalId: String) -> SQL {
        let part = delivery.part.part
        return """
            settle_part(
                \(organisation)::uuid, \(delivery.channel)::uuid, \(delivery.id)::uuid, \(part.number)::integer,
                \(part.count)::integer, \(externalId)::text, NULL
            )
            """
    }

    /// The person has stopped marketing from us, says WhatsApp.
    private func optingOut(_ delivery: Delivery, _ fault: SendFault) -> [SQL] {
        guard delivery.kind == "whatsapp", fault.code == SendFault.stoppedMarketing else { return [] }
        return [
            """
            UPDATE contacts
               SET opted_out = true, opted_out_changed_at = now_micros(), updated_at = now()
             WHERE org_id = \(organisation) AND NOT opted_out
               AND id = (SELECT m.contact_id FROM messages AS m WHERE m.org_id = \(organisation) AND m.id = \(delivery.id))
            """
        ]
    }

    private func settling(_ id: Message.ID, status: String, _ assignments: SQL) -> SQL {
        """
        WITH settled AS (
            UPDATE messages
               SET status = \(status), \(raw: assignments)
             WHERE org_id = \(organisation) AND id = \(id) AND status = 'queued'
            RETURNING id, ticket_id, status
        )
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        SELECT \(organisation)::uuid, 'message.updated', id, ticket_id,
               jsonb_build_object('ticketId', ticket_id, 'status', status)
          FROM settled
        """
    }

    /// A time that is set says that the attempt was answered.
    private func postponing(_ id: Message.ID, by seconds: Double) -> SQL {
        """
        UPDATE messages
           SET next_attempt_at = clock_timestamp() + make_interval(secs => \(seconds)::double precision)
         WHERE org_id = \(organisation) AND id = \(id) AND status = 'queued'
        """
    }

    /// As ``postponing(_:by:)``, of an attempt that doesn't count.
    private func deferring(_ id: Message.ID, by seconds: Double) -> SQL {
        """
        UPDATE messages
           SET next_attempt_at = clock_timestamp() + make_interval(secs => \(seconds)::double precision),
               attempts = attempts - 1,
               first_attempted_at = CASE WHEN attempts > 1 THEN first_attempted_at END
         WHERE org_id = \(organisation) AND id = \(id) AND status = 'queued' AND attempts > 0
        """
    }

    /// Has nothing sent on a channel for a while.
    static func pacing(_ channel: Channel.ID, by pause: Duration, in organisation: Organisation.ID) -> SQL {
        """
        UPDATE channels
           SET paced_until = clock_timestamp() + make_interval(secs => \(pause.inSeconds)::double precision)
         WHERE org_id = \(organisation) AND id = \(channel)
           AND coalesce(paced_until, '-infinity') < clock_timestamp() + make_interval(secs => \(pause.inSeconds)::double precision)
        """
    }

    /// Nothing was the message's fault: its attempts begin anew with the channel.
    private func waiting(_ id: Message.ID) -> SQL {
        """
        UPDATE messages
           SET attempts = 0, first_attempted_at = NULL, next_attempt_at = clock_timestamp()
         WHERE org_id = \(organisation) AND id = \(id) AND status = 'queued'
        """
    }

    /// Marks a channel as out of order until a person acts.
    static func holding(_ channel: Channel.ID, _ fault: SendFault, in organisation: Organisation.ID) -> SQL {
        """
        WITH held AS (
            UPDATE channels
               SET status = 'error', status_reason = \(fault.message), updated_at = now()
             WHERE org_id = \(organisation) AND id = \(channel) AND status = 'active' AND deleted_at IS NULL
            RETURNING id
        )
        INSERT INTO events (org_id, type, entity_id, payload)
        SELECT \(organisation)::uuid, 'channel.updated', id,
               jsonb_build_object('status', jsonb_build_object('from', 'active', 'to', 'error'))
          FROM held
        """
    }
}
