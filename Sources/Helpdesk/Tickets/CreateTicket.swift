import Foundation
import Functions
import Postgres

/// Opens a ticket with a contact on a channel, with a first message if there is one.
///
/// `create-ticket` in functions.yaml: `POST /orgs/:orgId/tickets`, admins only. The contact is the one given, or the one whom the
/// phone, e-mail (on any channel) or handle (on this one) names, or a new one; two calls at once make one contact. The ticket,
/// its number, its audit entry, its events and the message come together or not at all. Left unassigned, it goes to
/// whose turn it is where the organisation assigns by round robin. The contact's next message goes to this ticket.
///
/// - Throws: ``Failure/invalid(_:)`` for an unknown channel, contact, or assignee, and for a message that
///   the channel wouldn't take; ``Failure/conflict(_:)`` for a message on a disabled channel.
struct CreateTicket: HTTPFunction {
    struct Input: Decodable, Sendable {
        let channelId: Channel.ID
        let contactId: Contact.ID?
        let contact: Person?
        let subject: String?
        let priority: String?
        let tags: [String]?
        let assigneeId: User.ID?
        let message: MessageInput?

        struct Person: Decodable, Sendable {
            let name: String?
            let phone: String?
            let handle: String?
            let email: String?
        }
    }

    static let input = Shape<Input>(
        body: .json([
            .required("channelId", .uuid),
            .optional("contactId", .uuid, doc: "either this or `contact`", example: .null),
            .optional(
                "contact",
                .object([
                    .optional("name", .text(1...200, .name), example: "Jane Doe"),
                    .optional("phone", .phone),
                    .optional("handle", .text(1...200, .name), doc: "on this channel", example: "jane"),
                    .optional("email", .email),
                ]),
                doc: "with a phone, handle or email"
            ),
            .optional("subject", .text(0...300), example: "The parcel never came"),
            .optional("priority", .choice(Ticket.priorities), doc: "`normal` unless told"),
            .optional("tags", .tags, example: ["parcel"]),
            .optional("assigneeId", .uuid),
            .optional(
                "message",
                .object([MessageInput.text, MessageInput.template]),
                doc: "sent to the contact; either a text or a template",
                example: ["text": "Hello Jane"]
            ),
        ]),
        example: [
            "channelId": "01936f5e-7a00-7000-8000-000000000001",
            "contact": ["name": "Jane Doe", "phone": "+14155550123"],
            "subject": "The parcel never came",
            "priority": "normal",
            "tags": ["parcel"],
            "message": ["text": "Hello Jane"],
        ],
        also: { check($0, &$1) }
    )

    static let output: OutputDeclaration = .object(Ticket.record, status: 201)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let content = input.message?.content
        let author = MessageAuthor(try context.member())
        return try await context.transaction { transaction in
            let tickets = TicketStore(transaction.organisation)
            let contact = try await Self.contact(of: input, in: transaction)
            // The conversation first, then the counter, then users: as in every transaction that takes several of them.
            let taken = try await transaction.run([
                tickets.lockConversation(on: input.channelId, with: contact),
                tickets.takeNumber(),
                tickets.lockAssignee(input.assigneeId),
                tickets.reach(input.channelId, with: contact),
                MessageTemplate.named(content?.template, on: "\(input.channelId)", in: transaction.organisation),
            ])
            // Again, under the lock: they may have been deactivated meanwhile.
            guard input.assigneeId == nil || !taken[2].isEmpty else {
                throw Failure.invalid("/assigneeId", "is not an active member")
            }
            if let content, let channel = taken[3].first {
                try SendMessage.check(
                    content,
                    mayLeave: channel,
                    templates: taken[4],
                    isPersonal: author.type == "user",
                    at: "/message"
                )
            }
            let id = Ticket.ID()
            var statements = [
                tickets.open(
                    id,
                    number: try taken[1][0].get("number"),
                    on: input.channelId,
                    with: contact,
                    subject: input.subject,
                    priority: Ticket.rank(of: input.priority ?? "normal"),
                    assignee: input.assigneeId
                ),
                tickets.makeCurrent(id, on: input.channelId, with: contact),
                transaction.auditing("ticket.create", id.uuid),
                transaction.announcing(
                    "ticket.created",
                    id.uuid,
                    facts: [
                        "channelId": .string("\(input.channelId)"), "contactId": .string("\(contact)"),
                        "priority": .string(input.priority ?? "normal"),
                    ]
                ),
            ]
            if let tags = input.tags, !tags.isEmpty { statements.append(tickets.addTags(id, Ticket.distinct(tags))) }
            if let assignee = input.assigneeId { statements.append(tickets.touchAssignee(assignee)) }
            if let content { statements += Self.posting(content, to: id, by: author, in: transaction) }
            let results = try await transaction.run(statements + [tickets.find(id)])
            return Answer.row(results[statements.count], Ticket.record, status: 201)
        }
    }

    /// Reports what the fields alone can't tell.
    private static func check(_ body: JSON, _ check: inout FieldCheck) {
        switch (body.given("contactId"), body.given("contact")) {
        case (nil, nil): check.report("/contactId", "is required without a contact")
        case (.some, .some): check.report("/contact", "can't come along with a contactId")
        case (nil, let person?) where person.members != nil:
            if !["phone", "handle", "email"].contains(where: { person.given($0) != nil }) {
                check.report("/contact", "needs a phone, a handle or an email")
            }
        default: break
        }
        MessageInput.checkEither(in: body, into: &check)
    }

    private static func contact(of input: Input, in transaction: Transaction) async throws -> Contact.ID {
        let tickets = TicketStore(transaction.organisation)
        let known = try await transaction.run([
            tickets.findChannel(input.channelId),
            tickets.findContact(input.contactId),
            tickets.findAssignee(input.assigneeId),
        ])
        var check = FieldCheck.body
        if known[0].isEmpty { check.report("/channelId", "is not a channel of this organisation") }
        if input.contactId != nil, known[1].isEmpty {
            check.report("/contactId", "is not a contact of this organisation")
        }
        if input.assigneeId != nil, known[2].isEmpty { check.report("/assigneeId", "is not an active member") }
        guard check.faults.isEmpty else { throw Failure.invalid(check.faults) }
        if let id = input.contactId { return id }
        let person = input.contact
        let made = try await transaction.query(
            """
            SELECT find_or_make_contact(
                       \(transaction.organisation)::uuid, \(input.channelId)::uuid, \(person?.name)::text,
                       \(person?.phone)::text, \(person?.handle)::text, \(person?.email)::text
                   ) AS id
            """
        )
        return try made[0].get("id")
    }

    /// The first message, which the ticket's own audit entry covers.
    private static func posting(
        _ content: MessageContent,
        to ticket: Ticket.ID,
        by author: MessageAuthor,
        in transaction: Transaction
    ) -> [SQL] {
        let message = Message.ID()
        let facts: JSON = ["ticketId": .string("\(ticket)"), "direction": "outbound", "status": "queued"]
        transaction.enqueueDelivery(of: ticket)
        return [
            MessageStore(transaction.organisation).post(message, to: ticket, by: author, content),
            transaction.announcing("message.created", message.uuid, facts: facts),
        ]
    }
}
