import Functions
import Postgres

/// A macro at the moment when a message is made of it.
struct MacroRun: Sendable {
    let text: String
    private let actions: [MacroAction]
    private let active: Set<User.ID>

    /// The statements whose answers ``init(_:_:_:)`` reads; to be run before the ticket is locked, since members come first
    /// wherever both are.
    ///
    /// The macro stays as it is, and those to whom it assigns stay members, until the transaction ends.
    static func opening(
        _ macro: Macro.ID,
        on ticket: Ticket.ID,
        by author: MessageAuthor,
        in organisation: Organisation.ID
    ) -> [SQL] {
        [
            """
            SELECT m.content, m.actions
              FROM macros AS m
             WHERE m.org_id = \(organisation) AND m.id = \(macro)
               FOR SHARE
            """,
            """
            SELECT u.id
              FROM users AS u
             WHERE u.org_id = \(organisation) AND u.status = 'active'
               AND u.id IN (
                       SELECT (a.value ->> 'value')::uuid
                         FROM macros AS m, jsonb_array_elements(m.actions) AS a
                        WHERE m.org_id = \(organisation) AND m.id = \(macro) AND a.value ->> 'type' = 'assign'
                   )
             ORDER BY u.id
               FOR NO KEY UPDATE OF u
            """,
            """
            SELECT k.name AS "contact.name", k.phone AS "contact.phone", k.email AS "contact.email",
                   t.number::text AS "ticket.number", t.subject AS "ticket.subject", u.name AS "agent.name",
                   o.name AS "organisation.name"
              FROM tickets AS t
              JOIN contacts AS k ON k.org_id = t.org_id AND k.id = t.contact_id
              JOIN organisations AS o ON o.id = t.org_id
              JOIN \(raw: author.table) AS u ON u.org_id = t.org_id AND u.id = \(author.id)
             WHERE t.org_id = \(organisation) AND t.id = \(ticket)
            """,
        ]
    }

    /// - Parameters:
    ///   - macro: the first statement's rows.
    ///   - active: the second's.
    ///   - values: the third's.
    /// - Throws: ``Failure/invalid(_:_:)-(String,_)`` when there is no such macro.
    init(_ macro: PostgresRows, _ active: PostgresRows, _ values: PostgresRows) throws {
        guard let macro = macro.first else {
            throw Failure.invalid("/macroId", "is not a macro of this organisation")
        }
        let values = values.first
        text = try MacroText(macro.get("content")).filled { try values?.optional($0) }
        actions = try MacroAction.list(macro.get("actions"))
        self.active = Set(try active.map { try $0.get("id") })
    }

    /// What the ticket becomes.
    ///
    /// - Throws: ``Failure/invalid(_:_:)-(String,_)`` where the macro assigns to somebody who is no longer active, or would give
    ///   the ticket too many tags.
    func apply(to ticket: TicketState) throws -> TicketState {
        var ticket = ticket
        for action in actions {
            switch action.kind {
            case .setStatus: ticket.status = action.value.string ?? ticket.status
            case .setPriority: ticket.priority = action.value.string.map(Ticket.rank) ?? ticket.priority
            case .addTag: ticket.tags = Ticket.distinct(ticket.tags + [action.value.string].compactMap { $0 })
            case .assign:
                guard let assignee = action.assignee, active.contains(assignee) else {
                    throw Failure.invalid("/macroId", "assigns to somebody who is not an active member")
                }
                ticket.assignee = assignee
            case nil: continue
            }
        }
        guard ticket.tags.count <= 20 else {
            throw Failure.invalid("/macroId", "would give the ticket more than 20 tags")
        }
        return ticket
    }
}

/// What a macro may change of a ticket.
struct TicketState: Sendable {
    let subject: String?
    var status: String
    /// A rank.
    var priority: Int
    var tags: [String]
    var assignee: User.ID?

    /// Reads the columns of ``TicketStore/lock(_:)``.
    init(_ row: PostgresRow) throws {
        subject = try row.optional("subject")
        status = try row.get("status")
        priority = try row.get("priority")
        tags = try row.get("tags")
        assignee = try row.optional("assignee_id")
    }

    /// The fields that differ, for the audit.
    func changes(to new: TicketState) -> [AuditChange] {
        let fields: [(name: String, from: JSON, to: JSON)] = [
            ("status", .string(status), .string(new.status)),
            ("priority", .string(Ticket.priorities[priority]), .string(Ticket.priorities[new.priority])),
            ("tags", .array(tags.map(JSON.string)), .array(new.tags.map(JSON.string))),
            ("assigneeId", .text(assignee?.description), .text(new.assignee?.description)),
        ]
        return fields.filter { $0.from != $0.to }.map { AuditChange($0.name, from: $0.from, to: $0.to) }
    }

    /// Writes what differs; the ticket is locked, and so is the new assignee.
    func write(_ new: TicketState, to id: Ticket.ID, _ tickets: TicketStore) -> [SQL] {
        var statements: [SQL] = []
        if status != new.status || priority != new.priority {
            statements.append(tickets.update(id, subject: subject, status: new.status, priority: new.priority))
        }
        if tags != new.tags { statements += tickets.replaceTags(id, new.tags) }
        if let assignee = new.assignee, assignee != self.assignee {
            statements += [tickets.assign(id, to: assignee), tickets.touchAssignee(assignee)]
        }
        return statements
    }
}
