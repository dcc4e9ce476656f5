import Functions
import Postgres

/// A contact's tickets on all channels, the one with the newest message first.
///
/// `list-contact-tickets` in functions.yaml: `GET /orgs/:orgId/contacts/:contactId/tickets`, both roles.
///
/// - Throws: ``Failure/notFound(_:)`` when the contact is absent, gone or another organisation's.
struct ListContactTickets: HTTPFunction {
    struct Input: Decodable, Sendable {
        let contactId: Contact.ID
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(path: [.required("contactId", .uuid)], query: Field.paging)
    static let output: OutputDeclaration = .page(of: Ticket.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let filter = TicketFilter(contact: input.contactId)
        let page = try context.page(limit: input.limit, cursor: input.cursor)
        let results = try await context.run([
            "SELECT 1 FROM contacts WHERE org_id = \(organisation) AND id = \(input.contactId) AND gone_at IS NULL",
            filter.statement(in: organisation, page),
        ])
        guard !results[0].isEmpty else { throw Failure.notFound("contact") }
        return try Answer.page(results[1], Ticket.record, page, keys: filter.sort.keys)
    }
}
