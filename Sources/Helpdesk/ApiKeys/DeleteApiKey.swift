import Functions
import Postgres

/// Ends an API key: its next request is 401. What it wrote keeps its name.
///
/// `delete-api-key` in functions.yaml: `DELETE /orgs/:orgId/api-keys/:apiKeyId`, admins only.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent or another organisation's.
struct DeleteApiKey: HTTPFunction {
    struct Input: Decodable, Sendable {
        let apiKeyId: ApiKey.ID
    }

    static let input = Shape<Input>(path: [.required("apiKeyId", .uuid)])
    static let output: OutputDeclaration = .none

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            // The entry before the deletion: where a key deletes itself, its name is still to be found.
            let results = try await transaction.run([
                transaction.auditing("api_key.delete", input.apiKeyId.uuid),
                """
                DELETE FROM api_keys AS k
                 WHERE k.org_id = \(transaction.organisation) AND k.id = \(input.apiKeyId)
                """,
            ])
            guard results[1].affected > 0 else { throw Failure.notFound("API key") }
            return .nothing
        }
    }
}
