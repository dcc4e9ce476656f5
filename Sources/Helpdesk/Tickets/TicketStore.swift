import Foundation
import Functions
import Postgres

/// The statements on one organisation's tickets.
struct TicketStore {
    private let organisation: Organisation.ID

    init(_ organisation: Organisation.ID) {
        self.organisation = organisation
    }

    /// ``Ticket/record`` of one ticket; no row where this organisation has no such ticket.
    func find(_ id: Ticket.ID) -> SQL {
        """
        SELECT \(raw: Ticket.record.selectList)
          FROM tickets AS t
               \(raw: Ticket.joins)
         WHERE t.org_id = \(organisation) AND t.id = \(id)
        """
    }

    /// A row where this organisation has the ticket.
    func exists(_ id: Ticket.ID) -> SQL {
        "SELECT 1 FROM tickets AS t WHERE t.org_id = \(organisation) AND t.id = \(id)"
    }

    /// Locks a ticket until the transaction ends and returns what may be edited: `subject`, `status`, `priority` (a rank),
    /// `tags`, `assignee_id`, `unread_count`.
    func lock(_ id: Ticket.ID) -> SQL {
        """
        SELECT t.subject, t.status, t.priority, t.assignee_id, t.unread_count,
               ARRAY(SELECT g.tag FROM ticket_tags AS g WHERE g.org_id = t.org_id AND g.ticket_id = t.id
                     ORDER BY g.position, g.tag) AS tags
          FROM tickets AS t
         WHERE t.org_id = \(organisation) AND t.id = \(id)
           FOR NO KEY UPDATE OF t
        """
    }

    /// Writes what may be edited; `closed_at` follows the status.
    func update(_ id: Ticket.ID, subject: String?, status: String, priority: Int) -> SQL {
        """
        UPDATE tickets
           SET subject = \(subject), status = \(status), priority = \(priority)::smallint,
               closed_at = CASE WHEN \(status)::text = 'closed' THEN coalesce(closed_at, now()) END,
               updated_at = now()
         WHERE org_id = \(organisation) AND id = \(id)
        """
    }

    /// Replaces the tags of a locked ticket.
    func replaceTags(_ id: Ticket.ID, _ tags: [String]) -> [SQL] {
        [
            "DELETE FROM ticket_tags WHERE org_id = \(organisation) AND ticket_id = \(id)",
            addTags(id, tags),
        ]
    }

    /// Tags a ticket that has none; they are distinct.
    func addTags(_ id: Ticket.ID, _ tags: [String]) -> SQL {
        """
        INSERT INTO ticket_tags (org_id, ticket_id, tag, position)
        SELECT \(organisation)::uuid, \(id)::uuid, x.tag, x.position
          FROM unnest(\(tags)::text[]) WITH ORDINALITY AS x (tag, position)
        """
    }

    func assign(_ id: Ticket.ID, to user: User.ID?) -> SQL {
        """
        UPDATE tickets
           SET assignee_id = \(user), updated_at = now()
         WHERE org_id = \(organisation) AND id = \(id)
        """
    }

    /// Locks an active member until the transaction ends, so that nobody deactivates them meanwhile; returns their `name`.
    ///
    /// Comes before any ticket's lock, as in every transaction that takes both.
    func lockAssignee(_ user: User.ID?) -> SQL {
        """
        SELECT u.name
          FROM users AS u
         WHERE u.org_id = \(organisation) AND u.id = \(user) AND u.status = 'active'
           FOR NO KEY UPDATE OF u
        """
    }

    /// That a member has just been given a ticket: their turn under round robin comes later.
    func touchAssignee(_ user: User.ID) -> SQL {
        "UPDATE users SET last_assigned_at = clock_timestamp() WHERE org_id = \(organisation) AND id = \(user)"
    }

    /// Sets the unread count of a ticket to 0, where it isn't already.
    func markRead(_ id: Ticket.ID) -> SQL {
        """
        UPDATE tickets
           SET unread_count = 0
         WHERE org_id = \(organisation) AND id = \(id) AND unread_count > 0
        """
    }
}
