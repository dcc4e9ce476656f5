import Functions
import Postgres

/// The organisation's API keys, newest first, those that have expired included.
///
/// `list-api-keys` in functions.yaml: `GET /orgs/:orgId/api-keys`, admins only.
struct ListApiKeys: HTTPFunction {
    struct Input: Decodable, Sendable {
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(query: Field.paging)
    static let output: OutputDeclaration = .page(of: ApiKey.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let page = try context.page(limit: input.limit, cursor: input.cursor)
        let after: SQL = page.after.map { "AND (k.created_at, k.id) < (\($0[0])::timestamptz, \($0[1])::uuid)" } ?? ""
        let rows = try await context.query(
            """
            SELECT \(raw: ApiKey.record.selectList), k.created_at::text AS cursor_at, k.id::text AS cursor_id
              FROM api_keys AS k
             WHERE k.org_id = \(try context.member().organisation) \(raw: after)
             ORDER BY k.created_at DESC, k.id DESC
             LIMIT \(page.limit + 1)
            """
        )
        return try Answer.page(rows, ApiKey.record, page, keys: ["cursor_at", "cursor_id"])
    }
}
