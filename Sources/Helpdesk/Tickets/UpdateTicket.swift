import Functions
import Postgres

/// Changes a ticket's subject, status, priority or tags.
///
/// `update-ticket` in functions.yaml: `PUT /orgs/:orgId/tickets/:ticketId`, both roles. Setting `closed` does what
/// ``CloseTicket`` does; leaving it reopens the ticket and clears `closedAt`. What changes nothing records nothing.
///
/// - Throws: ``Failure/notFound(_:)`` when the ticket is absent or another organisation's.
struct UpdateTicket: HTTPFunction {
    struct Input: Decodable, Sendable {
        let ticketId: Ticket.ID
        let subject: Patch<String>
        let status: String?
        let priority: String?
        let tags: Patch<[String]>
    }

    static let input = Shape<Input>(
        path: [.required("ticketId", .uuid)],
        body: .json([
            .patch("subject", .text(0...300), clearable: true, example: "The parcel never came"),
            .patch("status", .choice(Ticket.statuses)),
            .patch("priority", .choice(Ticket.priorities)),
            .patch("tags", .tags, clearable: true, doc: "replaces all of them", example: ["parcel", "refund"]),
        ])
    )

    static let output: OutputDeclaration = .object(Ticket.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let tags: [String]? =
                switch input.tags {
                case .unchanged: nil
                case .cleared: []
                case .value(let tags): tags
                }
            let edit = TicketEdit(subject: input.subject, status: input.status, priority: input.priority, tags: tags)
            try await edit.apply(to: input.ticketId, in: transaction)
            let rows = try await transaction.query(TicketStore(transaction.organisation).find(input.ticketId))
            return Answer.row(rows, Ticket.record)
        }
    }
}
