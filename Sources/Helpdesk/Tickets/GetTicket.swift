import Functions
import Postgres

/// Shows a ticket with its newest messages.
///
/// `get-ticket` in functions.yaml: `GET /orgs/:orgId/tickets/:ticketId`, both roles. `messages` are the newest 50, oldest first;
/// the ones before come from `list-messages` with `order=desc` and `messagesNextCursor`.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent or another organisation's.
struct GetTicket: HTTPFunction {
    struct Input: Decodable, Sendable {
        let ticketId: Ticket.ID
    }

    static let input = Shape<Input>(path: [.required("ticketId", .uuid)])

    static let output: OutputDeclaration = .object(
        Record(
            "TicketWithMessages",
            Ticket.record.columns + [
                .init("messages", .list(Message.record), doc: "the newest 50, oldest first"),
                .init("messagesNextCursor", .text, nullable: true, doc: "for `GET …/messages?order=desc&cursor=`"),
            ]
        )
    )

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let page = try PageRequest.messages(of: input.ticketId, .newestFirst, limit: 50, cursor: nil, in: context)
        let results = try await context.run([
            TicketStore(organisation).find(input.ticketId),
            MessageStore(organisation).list(of: input.ticketId, .newestFirst, page),
        ])
        let (tickets, messages) = (results[0], results[1])
        guard !tickets.isEmpty else { throw Failure.notFound("ticket") }
        let cursor = try page.next(after: messages, keys: MessageStore.keys)
        return Answer.object {
            Ticket.record.write(membersOf: tickets, row: 0, into: &$0)
            $0.name("messages")
            $0.array {
                for row in (0..<min(messages.count, page.limit)).reversed() {
                    Message.record.write(messages, row: row, into: &$0)
                }
            }
            $0.member("messagesNextCursor", cursor)
        }
    }
}
