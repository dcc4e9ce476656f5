import Functions
import Postgres

/// Assigns a ticket to an active member of its organisation, or to nobody.
///
/// `assign-ticket` in functions.yaml: `POST /orgs/:orgId/tickets/:ticketId/assign`, admins only. The change, its audit
/// entry and its event are written together or not at all; assigning to the present assignee changes and records nothing.
///
/// - Throws: ``Failure/invalid(_:_:)-(String,_)`` when the user is not an active member; ``Failure/notFound(_:)`` when the
///   ticket is absent or another organisation's.
struct AssignTicket: HTTPFunction {
    struct Input: Decodable, Sendable {
        let ticketId: Ticket.ID
        let userId: User.ID?
    }

    static let input = Shape<Input>(
        path: [.required("ticketId", .uuid)],
        body: .json([.optional("userId", .uuid, doc: "the new assignee; null unassigns")])
    )

    static let output: OutputDeclaration = .object(Ticket.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let tickets = TicketStore(transaction.organisation)
            let found = try await transaction.run([tickets.lockAssignee(input.userId), tickets.lock(input.ticketId)])
            guard input.userId == nil || !found[0].isEmpty else {
                throw Failure.invalid("/userId", "is not an active member")
            }
            guard let old = found[1].first else { throw Failure.notFound("ticket") }
            let previous = try old.optional("assignee_id", as: User.ID.self)
            var statements: [SQL] = []
            if previous != input.userId {
                let (from, to) = (JSON.text(previous?.description), JSON.text(input.userId?.description))
                statements = [
                    tickets.assign(input.ticketId, to: input.userId),
                    transaction.auditing(
                        "ticket.assign",
                        input.ticketId.uuid,
                        changes: [AuditChange("assigneeId", from: from, to: to)]
                    ),
                    transaction.announcing(
                        "ticket.updated",
                        input.ticketId.uuid,
                        facts: ["fields": ["assigneeId"], "assigneeId": ["from": from, "to": to]]
                    ),
                ]
                if let user = input.userId { statements.append(tickets.touchAssignee(user)) }
            }
            let results = try await transaction.run(statements + [tickets.find(input.ticketId)])
            return Answer.row(results[statements.count], Ticket.record)
        }
    }
}
