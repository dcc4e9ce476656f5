import Functions
import Postgres

/// The caller's organisation.
///
/// `get-organisation` in functions.yaml: `GET /orgs/:orgId`, both roles.
struct GetOrganisation: HTTPFunction {
    static let input = Shape<NoInput>.none
    static let output: OutputDeclaration = .object(Organisation.record)

    func handle(_ input: NoInput, in context: HTTPContext) async throws -> Answer {
        let rows = try await context.query(
            """
            SELECT \(raw: Organisation.record.selectList)
              FROM organisations AS o
             WHERE o.id = \(try context.member().organisation)
            """
        )
        return Answer.row(rows, Organisation.record)
    }
}
