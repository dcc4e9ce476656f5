import Functions
import Postgres

/// Lists a ticket's messages in the order in which they were accepted.
///
/// `list-messages` in functions.yaml: `GET /orgs/:orgId/tickets/:ticketId/messages`, both roles. Oldest first unless
/// `order=desc`.
///
/// - Throws: ``Failure/notFound(_:)`` when the ticket is absent or another organisation's.
struct ListMessages: HTTPFunction {
    struct Input: Decodable, Sendable {
        let ticketId: Ticket.ID
        let order: String?
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(
        path: [.required("ticketId", .uuid)],
        query: [
            .optional("order", .choice(MessageStore.Order.allCases.map(\.rawValue)), doc: "oldest first unless `desc`")
        ] + Field.paging
    )

    static let output: OutputDeclaration = .page(of: Message.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let order = input.order.flatMap(MessageStore.Order.init) ?? .oldestFirst
        let page = try PageRequest.messages(
            of: input.ticketId,
            order,
            limit: input.limit,
            cursor: input.cursor,
            in: context
        )
        let results = try await context.run([
            TicketStore(organisation).exists(input.ticketId),
            MessageStore(organisation).list(of: input.ticketId, order, page),
        ])
        guard !results[0].isEmpty else { throw Failure.notFound("ticket") }
        return try Answer.page(results[1], Message.record, page, keys: MessageStore.keys)
    }
}
