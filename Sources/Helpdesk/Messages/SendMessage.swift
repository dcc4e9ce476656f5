import Foundation
import Functions
import Postgres
import Queue

/// Answers on a ticket, or leaves a note there for the other members.
///
/// `send-message` in functions.yaml: `POST /orgs/:orgId/tickets/:ticketId/messages`, both roles. The message is stored as `queued`
/// and ``DeliverMessage`` sends it; messages leave in the order in which they were posted. A closed ticket reopens. A
/// note is `sent` at once, goes to nobody and changes nothing of the ticket. A macro's text is filled with what is known of the
/// ticket, and what the macro does to the ticket happens in the same transaction, whoever runs it.
///
/// - Throws: ``Failure/invalid(_:_:)-(String,_)`` for an empty message, a macro or quoted message that there isn't, what the
///   channel's provider wouldn't take (see ``ChannelRules``) and a template that the account doesn't have that way; ``Failure/notFound(_:)`` when the ticket is absent or another organisation's;
///   ``Failure/conflict(_:)`` when its channel is deleted or disabled, or its contact erased.
struct SendMessage: HTTPFunction {
    struct Input: Decodable, Sendable {
        let ticketId: Ticket.ID
        let text: String?
        let template: JSON?
        let attachments: [JSON]?
        let macroId: UUID?
        let note: Bool?
        let replyTo: Message.ID?
    }

    static let input = Shape<Input>(
        path: [.required("ticketId", .uuid)],
        body: .json([
            MessageInput.text,
            MessageInput.template,
            MessageInput.attachments,
            .optional("macroId", .uuid, doc: "its content with its variables filled, and its actions"),
            .optional("note", .boolean, doc: "for members only", example: false),
            .optional("replyTo", .uuid, doc: "the message of this ticket that is quoted"),
        ]),
        example: ["text": "We are looking into it."],
        also: { body, check in
            // An attachments of another type is a fault already.
            let hasAttachments = body.given("attachments").map { $0.array?.isEmpty != true } ?? false
            if !hasAttachments, !["text", "template", "macroId"].contains(where: { body.given($0) != nil }) {
                check.report("/text", "is required without a template, an attachment or a macro")
            }
            if body["note"] == true, body.given("template") != nil {
                check.report("/template", "can't be part of a note")
            }
            MessageInput.check(body, into: &check)
        }
    )

    static let output: OutputDeclaration = .object(Message.record, status: 201)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let given = try content(of: input)
        let author = MessageAuthor(try context.member())
        return try await context.transaction { transaction in
            let organisation = transaction.organisation
            let messages = MessageStore(organisation)
            let tickets = TicketStore(organisation)
            let opening = input.macroId.map { macro in
                MacroRun.opening(Macro.ID(macro), on: input.ticketId, by: author, in: organisation)
            }
            var found = try await transaction.run(
                (opening ?? []) + [
                    messages.lockTicket(input.ticketId),
                    messages.exists(input.replyTo, in: input.ticketId),
                    tickets.lock(input.ticketId),
                    messages.templates(like: given.template, for: input.ticketId),
                ]
            )
            let parts = Array(found.prefix(opening?.count ?? 0))
            found.removeFirst(parts.count)
            guard let ticket = found[0].first, let before = found[2].first else { throw Failure.notFound("ticket") }
            guard input.replyTo == nil || !found[1].isEmpty else {
                throw Failure.invalid("/replyTo", "is not a message of this ticket")
            }
            let run = parts.isEmpty ? nil : try MacroRun(parts[0], parts[1], parts[2])
            let content = try Self.content(given, run, hasText: input.text != nil)
            if !content.isNote {
                try Self.check(content, mayLeave: ticket, templates: found[3], isPersonal: author.type == "user")
            }
            let id = Message.ID()
            let old = try TicketState(before)
            // An answer reopens the ticket, then the macro has its way with it.
            var posted = old
            if !content.isNote, old.status == "closed" { posted.status = "open" }
            let new = try run?.apply(to: posted) ?? posted
            let statements =
                [messages.post(id, to: input.ticketId, by: author, content)]
                + posted.write(new, to: input.ticketId, tickets)
                + Self.records(id, input.ticketId, content, from: old, to: new, in: transaction)
                + [messages.find(id)]
            let results = try await transaction.run(statements)
            guard !results[statements.count - 1].isEmpty else {
                throw Failure.conflict("The contact of this ticket has been erased.")
            }
            if !content.isNote { transaction.enqueueDelivery(of: input.ticketId) }
            return Answer.row(results[statements.count - 1], Message.record, status: 201)
        }
    }

    /// - Throws: ``Failure/invalid(_:_:)-(String,_)`` for what no ticket's state could make right.
    private func content(of input: Input) throws(Failure) -> MessageContent {
        let parts = MessageInput(text: input.text, template: input.template, attachments: input.attachments)
        guard var content = parts.content ?? (input.macroId == nil ? nil : MessageContent()) else {
            throw Failure.invalid("/text", "is required without a template, an attachment or a macro")
        }
        content.isNote = input.note ?? false
        content.replyTo = input.replyTo
        return content
    }

    /// What is sent of a macro's text, unless the caller gave one.
    ///
    /// - Throws: ``Failure/invalid(_:_:)-(String,_)`` where nothing is left of it, or too much comes of it.
    private static func content(_ given: MessageContent, _ run: MacroRun?, hasText: Bool) throws -> MessageContent {
        guard let run, !hasText else { return given }
        var content = given
        content.text = run.text
        let length = run.text.unicodeScalars.count
        guard length <= 4096 else {
            throw Failure.invalid("/macroId", "gives a text of \(length) characters once filled, more than 4096")
        }
        let isBlank = run.text.unicodeScalars.allSatisfy(\.properties.isWhitespace)
        if isBlank, content.template == nil, content.attachments == [] {
            throw Failure.invalid("/macroId", "gives an empty text: its variables have no values here")
        }
        return content
    }

    /// Refuses what may not be sent at present; `channel` is a row with the columns of ``MessageStore/lockTicket(_:)``,
    /// `templates` are rows of ``MessageTemplate/named(_:on:in:)``.
    static func check(
        _ content: MessageContent,
        mayLeave channel: PostgresRow,
        templates: PostgresRows,
        isPersonal: Bool,
        at pointer: String = ""
    ) throws {
        // Input is checked before state: an answer outside the window is 422 even where the channel is gone.
        if let kind = Channel.Kind(rawValue: try channel.get("channel_type")) {
            let rules = ChannelRules(kind)
            var faults = rules.faults(in: content, at: pointer)
            if let fault = try rules.windowFault(of: content, isPersonal: isPersonal, channel, at: pointer) {
                faults.append(fault)
            }
            faults += try MessageTemplate.faults(in: content.template, templates, at: pointer)
            guard faults.isEmpty else { throw Failure.invalid(faults) }
        }
        switch try channel.get("channel_status", as: String.self) {
        case "deleted": throw Failure.conflict("The channel of this ticket has been deleted.")
        case "disabled": throw Failure.conflict("The channel of this ticket is disabled.")
        default: return
        }
    }

    /// One audit entry, with all that changed of the ticket, and the events.
    private static func records(
        _ id: Message.ID,
        _ ticket: Ticket.ID,
        _ content: MessageContent,
        from old: TicketState,
        to new: TicketState,
        in transaction: Transaction
    ) -> [SQL] {
        let changes = old.changes(to: new)
        let posted: JSON = [
            "ticketId": .string(ticket.description),
            "direction": content.isNote ? "note" : "outbound",
            "status": content.isNote ? "sent" : "queued",
        ]
        var statements = [
            transaction.auditing(content.isNote ? "message.note" : "message.send", id.uuid, changes: changes),
            transaction.announcing("message.created", id.uuid, facts: posted),
        ]
        // As `assign-ticket` tells it, and before the rest, which names who has the ticket by then.
        if let assigned = changes.first(where: { $0.field == "assigneeId" }) {
            let facts: JSON = ["fields": ["assigneeId"], "assigneeId": ["from": assigned.from, "to": assigned.to]]
            statements.append(transaction.announcing("ticket.updated", ticket.uuid, facts: facts))
        }
        let fields =
            changes.map(\.field).filter { $0 != "assigneeId" }
            + (content.isNote ? [] : ["lastMessageAt", "unreadCount", "firstResponseAt"])
        guard !fields.isEmpty else { return statements }
        var facts: [JSON.Member] = [.init("fields", .array(fields.map(JSON.string)))]
        if let status = changes.first(where: { $0.field == "status" }) {
            facts.append(.init("status", ["from": status.from, "to": status.to]))
            facts.append(.init("assigneeId", .text(new.assignee?.description)))
        }
        if let priority = changes.first(where: { $0.field == "priority" }) {
            facts.append(.init("priority", ["from": priority.from, "to": priority.to]))
        }
        statements.append(transaction.announcing("ticket.updated", ticket.uuid, facts: .object(facts)))
        return statements
    }
}

extension Transaction {
    /// Has ``DeliverMessage`` look at the ticket once this has committed.
    func enqueueDelivery(of ticket: Ticket.ID) {
        enqueue(
            DeliverMessage.job(for: ticket, of: organisation, trace: origin.requestId),
            to: DeliverMessage.queue
        )
    }
}
