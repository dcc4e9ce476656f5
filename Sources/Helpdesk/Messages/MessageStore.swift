import Foundation
import Functions
import Postgres

/// The statements on one organisation's messages.
struct MessageStore {
    private let organisation: Organisation.ID

    init(_ organisation: Organisation.ID) {
        self.organisation = organisation
    }

    enum Order: String, CaseIterable {
        case oldestFirst = "asc"
        case newestFirst = "desc"
    }

    /// The columns of a cursor through a ticket's messages, selected after ``Message/record``.
    static let keys = ["cursor_at", "cursor_id"]

    /// Messages are listed by when they were accepted, whatever order they were stored in.
    ///
    /// - Returns: one row more than the page has.
    func list(of ticket: Ticket.ID, _ order: Order, _ page: PageRequest) -> SQL {
        let direction: SQL = order == .oldestFirst ? "ASC" : "DESC"
        let comparison: SQL = order == .oldestFirst ? ">" : "<"
        var beyond: SQL = ""
        if let after = page.after, after.count == Self.keys.count {
            beyond = " AND (m.accepted_at, m.id) \(raw: comparison) (\(after[0])::bigint, \(after[1])::uuid)"
        }
        return """
            SELECT \(raw: Message.record.selectList), m.accepted_at::text AS cursor_at, m.id::text AS cursor_id
              FROM messages AS m
             WHERE m.org_id = \(organisation) AND m.ticket_id = \(ticket)\(raw: beyond)
             ORDER BY m.accepted_at \(raw: direction), m.id \(raw: direction)
             LIMIT \(raw: SQL(stringLiteral: String(page.limit + 1)))
            """
    }

    /// ``Message/record`` of one message.
    func find(_ id: Message.ID) -> SQL {
        """
        SELECT \(raw: Message.record.selectList)
          FROM messages AS m
         WHERE m.org_id = \(organisation) AND m.id = \(id)
        """
    }

    /// A row where the ticket has the message.
    func exists(_ id: Message.ID?, in ticket: Ticket.ID) -> SQL {
        "SELECT 1 FROM messages AS m WHERE m.org_id = \(organisation) AND m.id = \(id) AND m.ticket_id = \(ticket)"
    }

    /// Locks a ticket until the transaction ends, with what decides whether it may be written to: `status`, `assignee_id`,
    /// `channel_type`, `channel_status` (`deleted` for a deleted one), `is_window_open` and `is_human_window_open` (NULL where there is no
    /// window, or the contact has never written).
    func lockTicket(_ id: Ticket.ID) -> SQL {
        """
        SELECT t.status, t.assignee_id, c.type AS channel_type,
               CASE WHEN c.deleted_at IS NULL THEN c.status ELSE 'deleted' END AS channel_status,
               \(raw: Ticket.windowEnd) > now() AS is_window_open,
               \(raw: Ticket.humanAgentEnd) > now() AS is_human_window_open
          FROM tickets AS t
          JOIN channels AS c ON c.org_id = t.org_id AND c.id = t.channel_id
          JOIN conversations AS v
            ON v.org_id = t.org_id AND v.channel_id = t.channel_id AND v.contact_id = t.contact_id
         WHERE t.org_id = \(organisation) AND t.id = \(id)
           FOR NO KEY UPDATE OF t
        """
    }

    /// The templates of the ticket's account that have this one's name; see ``MessageTemplate/named(_:on:in:)``.
    func templates(like template: JSON?, for ticket: Ticket.ID) -> SQL {
        let channel: SQL =
            "(SELECT t.channel_id FROM tickets AS t WHERE t.org_id = \(organisation) AND t.id = \(ticket))"
        return MessageTemplate.named(template, on: channel, in: organisation)
    }

    /// Adds a member's or API key's message to a ticket that the transaction has locked, behind all that are there, and moves the
    /// ticket along: an answer reopens it, counts as the first response, and leaves nothing unread; a note does none of that.
    /// Nothing is added where the ticket's contact has been erased.
    func post(_ id: Message.ID, to ticket: Ticket.ID, by author: MessageAuthor, _ content: MessageContent) -> SQL {
        let insert: SQL = """
            INSERT INTO messages
                   (org_id, id, channel_id, contact_id, ticket_id, direction, author_type, author_id, author_name, text,
                    attachments, template, status, reply_to, accepted_at, created_at, sent_at)
            SELECT t.org_id, \(id)::uuid, t.channel_id, t.contact_id, t.id, \(content.isNote ? "note" : "outbound")::text,
                   \(author.type)::text, u.id, u.name, \(content.text)::text, \(content.attachments.text)::jsonb,
                   \(content.template?.text)::jsonb, \(content.isNote ? "sent" : "queued")::text, \(content.replyTo)::uuid,
                   greatest(
                       now_micros(),
                       1 + (SELECT x.accepted_at FROM messages AS x WHERE x.org_id = t.org_id AND x.ticket_id = t.id
                             ORDER BY x.accepted_at DESC LIMIT 1)
                   ),
                   clock_timestamp(), \(raw: content.isNote ? "clock_timestamp()" : "NULL")
              FROM tickets AS t, \(raw: author.table) AS u
             WHERE t.org_id = \(organisation) AND t.id = \(ticket) AND u.org_id = \(organisation) AND u.id = \(author.id)
               AND NOT EXISTS (
                       SELECT FROM contacts AS k WHERE k.org_id = t.org_id AND k.id = t.contact_id AND k.gone_at IS NOT NULL
                   )
            """
        guard !content.isNote else { return insert }
        return """
            WITH posted AS (\(raw: insert) RETURNING ticket_id, created_at)
            UPDATE tickets AS t
               SET status = CASE WHEN t.status = 'closed' THEN 'open' ELSE t.status END, closed_at = NULL, unread_count = 0,
                   last_message_at = greatest(t.last_message_at, p.created_at),
                   first_response_at = coalesce(t.first_response_at, p.created_at),
                   updated_at = now()
              FROM posted AS p
             WHERE t.org_id = \(organisation) AND t.id = p.ticket_id
            """
    }
}

/// Who answers on a ticket: a member or an API key, each with a row that has a name.
struct MessageAuthor: Sendable {
    let type: String
    let id: UUID
    let table: SQL

    init(_ principal: Principal) {
        id = principal.id
        switch principal.credential {
        case .session: (type, table) = ("user", "users")
        case .apiKey: (type, table) = ("api_key", "api_keys")
        }
    }
}

/// What a message consists of, checked.
struct MessageContent: Sendable {
    var text = ""
    /// A list of objects with all of an attachment's members.
    var attachments: JSON = []
    var template: JSON?
    var isNote = false
    var replyTo: Message.ID?
}

extension PageRequest {
    /// A page of a ticket's messages: the same cursor is good for the list and for what `get-ticket` shows of it.
    static func messages(
        of ticket: Ticket.ID,
        _ order: MessageStore.Order,
        limit: Int?,
        cursor: String?,
        in context: HTTPContext
    ) throws -> PageRequest {
        let organisation = try context.member().organisation
        return try PageRequest(
            limit: limit,
            cursor: cursor,
            scope: ["messages", "\(organisation)", "\(ticket)", order.rawValue].joined(separator: "\u{0}"),
            key: context.services.cursorKey
        )
    }
}
