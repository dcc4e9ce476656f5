import Functions
import Postgres

/// Marks a ticket as read: its unread count becomes 0.
///
/// `read-ticket` in functions.yaml: `POST /orgs/:orgId/tickets/:ticketId/read`, both roles. Leaves no audit entry.
///
/// - Throws: ``Failure/notFound(_:)`` when the ticket is absent or another organisation's.
struct ReadTicket: HTTPFunction {
    struct Input: Decodable, Sendable {
        let ticketId: Ticket.ID
    }

    static let input = Shape<Input>(path: [.required("ticketId", .uuid)])

    static let output: OutputDeclaration = .none

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let tickets = TicketStore(transaction.organisation)
            let results = try await transaction.run([tickets.exists(input.ticketId), tickets.markRead(input.ticketId)])
            guard !results[0].isEmpty else { throw Failure.notFound("ticket") }
            if results[1].affected > 0 {
                _ = try await transaction.query(
                    transaction.announcing("ticket.updated", input.ticketId.uuid, facts: ["fields": ["unreadCount"]])
                )
            }
            return .nothing
        }
    }
}
