import Foundation
import Functions
import Postgres
import Queue

/// Answers on a ticket, or leaves a note there for the other members.
///
/// `send-message` in functions.yaml: `POST /orgs/:orgId/tickets/:ticketId/messages`, both roles. The message is stored as `queued`
/// and ``DeliverMessage`` sends it; messages leave in the order in which they were posted. A closed ticket reopens. A
/// note is `sent` at once, goes to nobody and changes nothing of the ticket.
///
/// - Throws: ``Failure/invalid(_:_:)-(String,_)`` for an empty message, a macro or quoted message that there isn't, and free
///   text outside WhatsApp's window; ``Failure/notFound(_:)`` when the ticket is absent or another organisation's;
///   ``Failure/conflict(_:)`` when its channel is deleted or disabled.
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
        }
    )

    static let output: OutputDeclaration = .object(Message.record, status: 201)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let content = try content(of: input)
        let user = User.ID(try context.member().user)
        return try await context.transaction { transaction in
            let messages = MessageStore(transaction.organisation)
            let found = try await transaction.run([
                messages.lockTicket(input.ticketId),
                messages.exists(input.replyTo, in: input.ticketId),
            ])
            guard let ticket = found[0].first else { throw Failure.notFound("ticket") }
            guard input.replyTo == nil || !found[1].isEmpty else {
                throw Failure.invalid("/replyTo", "is not a message of this ticket")
            }
            if !content.isNote { try Self.check(content, mayLeave: ticket) }
            let id = Message.ID()
            let status = try ticket.get("status", as: String.self)
            let statements =
                [messages.post(id, to: input.ticketId, by: user, content)]
                + Self.records(id, input.ticketId, content, oldStatus: status, in: transaction)
                + [messages.find(id)]
            let results = try await transaction.run(statements)
            if !content.isNote { transaction.enqueueDelivery(of: input.ticketId) }
            return Answer.row(results[statements.count - 1], Message.record, status: 201)
        }
    }

    /// - Throws: ``Failure/invalid(_:_:)-(String,_)`` for what no ticket's state could make right.
    private func content(of input: Input) throws(Failure) -> MessageContent {
        guard input.macroId == nil else { throw Failure.invalid("/macroId", "is not a macro of this organisation") }
        let parts = MessageInput(text: input.text, template: input.template, attachments: input.attachments)
        guard var content = try parts.content() else {
            throw Failure.invalid("/text", "is required without a template, an attachment or a macro")
        }
        content.isNote = input.note ?? false
        content.replyTo = input.replyTo
        return content
    }

    /// Refuses what may not be sent at present; `channel` is a row with the columns of ``MessageStore/lockTicket(_:)``.
    static func check(_ content: MessageContent, mayLeave channel: PostgresRow, at pointer: String = "") throws {
        // Input is checked before state: an answer outside the window is 422 even where the channel is gone.
        if try channel.get("channel_type", as: String.self) == "whatsapp", content.template == nil,
            try channel.optional("is_window_open", as: Bool.self) != true
        {
            throw Failure.invalid(
                "\(pointer)/template",
                "is required: the contact's last message is more than 24 hours old, so WhatsApp takes templates only"
            )
        }
        switch try channel.get("channel_status", as: String.self) {
        case "deleted": throw Failure.conflict("The channel of this ticket has been deleted.")
        case "disabled": throw Failure.conflict("The channel of this ticket is disabled.")
        default: return
        }
    }

    /// One audit entry, with the reopening among its changes, and the events.
    private static func records(
        _ id: Message.ID,
        _ ticket: Ticket.ID,
        _ content: MessageContent,
        oldStatus: String,
        in transaction: Transaction
    ) -> [SQL] {
        let reopens = !content.isNote && oldStatus == "closed"
        let changes = reopens ? [AuditChange("status", from: "closed", to: "open")] : []
        let posted: JSON = [
            "ticketId": .string(ticket.description),
            "direction": content.isNote ? "note" : "outbound",
            "status": content.isNote ? "sent" : "queued",
        ]
        let statements = [
            transaction.auditing(content.isNote ? "message.note" : "message.send", id.uuid, changes: changes),
            transaction.announcing("message.created", id.uuid, facts: posted),
        ]
        guard !content.isNote else { return statements }
        let moved: JSON =
            reopens
            ? [
                "fields": ["status", "lastMessageAt", "unreadCount", "firstResponseAt"],
                "status": ["from": "closed", "to": "open"],
            ] : ["fields": ["lastMessageAt", "unreadCount", "firstResponseAt"]]
        return statements + [transaction.announcing("ticket.updated", ticket.uuid, facts: moved)]
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
