import Foundation
import Functions
import Postgres

extension Transaction {
    /// Tells streams, roll-ups and outgoing webhooks of the change at hand.
    ///
    /// The statement runs in the transaction of the change, so a crash loses neither alone.
    ///
    /// - Parameters:
    ///   - type: `ticket.created`, `message.updated` and the like.
    ///   - entityId: the ticket, message or campaign.
    ///   - facts: what changed, small: ids, statuses, names of fields, never a message's text. A message's `ticketId`
    ///     becomes the event's ticket.
    /// - Returns: the statement of one event.
    func announcing(_ type: String, _ entityId: UUID, facts: JSON = [:]) -> SQL {
        EventHub.announce(organisation, in: self)
        let ticket = type.hasPrefix("ticket.") ? entityId : facts["ticketId"]?.string.flatMap { UUID(uuidString: $0) }
        return """
            INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
            VALUES (\(organisation), \(type), \(entityId), \(ticket), \(facts.text)::jsonb)
            """
    }
}
