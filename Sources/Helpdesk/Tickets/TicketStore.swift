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

    /// A row where the user is an active member at this moment; ``lockAssignee(_:)`` keeps them one.
    func findAssignee(_ user: User.ID?) -> SQL {
        "SELECT 1 FROM users AS u WHERE u.org_id = \(organisation) AND u.id = \(user) AND u.status = 'active'"
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

    // Opening one

    /// A row where this organisation has the channel and it isn't deleted.
    func findChannel(_ id: Channel.ID) -> SQL {
        "SELECT 1 FROM channels AS c WHERE c.org_id = \(organisation) AND c.id = \(id) AND c.deleted_at IS NULL"
    }

    /// A row where this organisation has the contact, who then stays until the transaction ends.
    func findContact(_ id: Contact.ID?) -> SQL {
        "SELECT 1 FROM contacts AS k WHERE k.org_id = \(organisation) AND k.id = \(id) AND k.gone_at IS NULL FOR KEY SHARE"
    }

    /// Makes or locks the conversation of a contact on a channel: until the transaction ends nobody else finds or opens a
    /// ticket in it.
    func lockConversation(on channel: Channel.ID, with contact: Contact.ID) -> SQL {
        """
        INSERT INTO conversations AS v (org_id, channel_id, contact_id)
        VALUES (\(organisation), \(channel), \(contact))
        ON CONFLICT (org_id, channel_id, contact_id) DO UPDATE SET ticket_id = v.ticket_id
        """
    }

    /// Whether the contact may be written to on the channel; the columns of ``MessageStore/lockTicket(_:)`` that tell.
    func reach(_ channel: Channel.ID, with contact: Contact.ID) -> SQL {
        """
        SELECT c.type AS channel_type, CASE WHEN c.deleted_at IS NULL THEN c.status ELSE 'deleted' END AS channel_status,
               \(raw: Ticket.windowEnd) > now() AS is_window_open,
               \(raw: Ticket.humanAgentEnd) > now() AS is_human_window_open
          FROM channels AS c
          JOIN conversations AS v ON v.org_id = c.org_id AND v.channel_id = c.id AND v.contact_id = \(contact)
         WHERE c.org_id = \(organisation) AND c.id = \(channel)
        """
    }

    /// The next `number`; no other is given out until the transaction ends.
    func takeNumber() -> SQL {
        "SELECT next_ticket_number(\(organisation)::uuid) AS number"
    }

    /// Opens a ticket; without an assignee it goes to whose turn it is, where the organisation assigns by round robin.
    ///
    /// Comes after ``takeNumber()``, whose lock makes turns one at a time.
    func open(
        _ id: Ticket.ID,
        number: Int,
        on channel: Channel.ID,
        with contact: Contact.ID,
        subject: String?,
        priority: Int,
        assignee: User.ID?
    ) -> SQL {
        """
        INSERT INTO tickets
               (org_id, id, number, channel_id, contact_id, subject, priority, assignee_id)
        VALUES (\(organisation), \(id), \(number), \(channel), \(contact), \(subject), \(priority)::smallint,
                CASE WHEN \(assignee)::uuid IS NULL THEN (next_assignees(\(organisation)::uuid, 1))[1]
                     ELSE \(assignee)::uuid END)
        """
    }

    /// Lets the contact's next message on the channel go to this ticket.
    func makeCurrent(_ id: Ticket.ID, on channel: Channel.ID, with contact: Contact.ID) -> SQL {
        """
        UPDATE conversations
           SET ticket_id = \(id)
         WHERE org_id = \(organisation) AND channel_id = \(channel) AND contact_id = \(contact)
        """
    }
}
