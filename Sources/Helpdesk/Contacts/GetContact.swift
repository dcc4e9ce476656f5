import Functions
import Postgres

/// Shows a contact.
///
/// `get-contact` in functions.yaml: `GET /orgs/:orgId/contacts/:contactId`, both roles.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent, merged into another, erased or another organisation's.
struct GetContact: HTTPFunction {
    struct Input: Decodable, Sendable {
        let contactId: Contact.ID
    }

    static let input = Shape<Input>(path: [.required("contactId", .uuid)])
    static let output: OutputDeclaration = .object(Contact.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let rows = try await context.query(Contact.find(input.contactId, in: try context.member().organisation))
        guard !rows.isEmpty else { throw Failure.notFound("contact") }
        return Answer.row(rows, Contact.record)
    }
}
