import Foundation
import Functions
import Postgres

/// Makes one contact of two: its ids, conversations, tickets and messages become the other one's, and it is gone.
///
/// `merge-contacts` in functions.yaml: `POST /orgs/:orgId/contacts/:contactId/merge`, admins only. A message that comes in at that
/// moment is stored with the one that stays. The audit entry is about the one that stays and names both.
///
/// - Throws: ``Failure/notFound(_:)`` when the contact is absent, gone or another organisation's;
///   ``Failure/invalid(_:_:)-(String,_)`` when the other one is, or is the same.
struct MergeContacts: HTTPFunction {
    struct Input: Decodable, Sendable {
        let contactId: Contact.ID
        let intoId: Contact.ID
    }

    static let input = Shape<Input>(
        path: [.required("contactId", .uuid)],
        body: .json([.required("intoId", .uuid, doc: "the contact that stays")])
    )

    static let output: OutputDeclaration = .object(Contact.record)

    /// How often it is run again where it and a message that came in waited for each other.
    private static let rounds = 5

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        guard input.contactId != input.intoId else { throw Failure.invalid("/intoId", "is the contact itself") }
        for _ in 1..<Self.rounds {
            do {
                return try await merge(input, in: context)
            } catch let error as PostgresError where error.isTransient {
                continue
            }
        }
        return try await merge(input, in: context)
    }

    private func merge(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let organisation = transaction.organisation
            let rows = try await transaction.query(
                """
                SELECT merge_contacts(\(organisation)::uuid, \(input.contactId)::uuid, \(input.intoId)::uuid) AS outcome
                """
            )
            switch try rows[0].get("outcome", as: String.self) {
            case "source": throw Failure.notFound("contact")
            case "target": throw Failure.invalid("/intoId", "is not a contact of this organisation")
            default: break
            }
            let (from, into) = (JSON.string("\(input.contactId)"), JSON.string("\(input.intoId)"))
            let results = try await transaction.run([
                transaction.auditing(
                    "contact.merge",
                    input.intoId.uuid,
                    changes: [AuditChange("contactId", from: from, to: into)]
                ),
                Contact.find(input.intoId, in: organisation),
            ])
            return Answer.row(results[1], Contact.record)
        }
    }
}
