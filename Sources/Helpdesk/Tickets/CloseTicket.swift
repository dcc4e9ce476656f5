import Functions
import Postgres

/// Closes a ticket; one that is closed stays as it is.
///
/// `close-ticket` in functions.yaml: `POST /orgs/:orgId/tickets/:ticketId/close`, both roles.
///
/// - Throws: ``Failure/notFound(_:)`` when the ticket is absent or another organisation's.
struct CloseTicket: HTTPFunction {
    struct Input: Decodable, Sendable {
        let ticketId: Ticket.ID
    }

    static let input = Shape<Input>(path: [.required("ticketId", .uuid)])

    static let output: OutputDeclaration = .object(Ticket.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            try await TicketEdit(status: "closed").apply(to: input.ticketId, in: transaction)
            let rows = try await transaction.query(TicketStore(transaction.organisation).find(input.ticketId))
            return Answer.row(rows, Ticket.record)
        }
    }
}
