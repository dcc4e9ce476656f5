import Functions
import Postgres

/// Lists the organisation's webhook endpoints, newest first.
///
/// `list-webhook-endpoints` in functions.yaml: `GET /orgs/:orgId/webhook-endpoints`, admins only.
struct ListWebhookEndpoints: HTTPFunction {
    struct Input: Decodable, Sendable {
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(query: Field.paging)

    static let output: OutputDeclaration = .page(of: WebhookEndpoint.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let page = try context.page(limit: input.limit, cursor: input.cursor)
        var beyond: SQL = ""
        if let after = page.after, after.count == 2 {
            beyond = " AND (w.created_at, w.id) < (\(after[0])::timestamptz, \(after[1])::uuid)"
        }
        let rows = try await context.query(
            """
            SELECT \(raw: WebhookEndpoint.record.selectList), w.created_at::text AS cursor_at, w.id::text AS cursor_id
              FROM webhook_endpoints AS w
             WHERE w.org_id = \(try context.member().organisation)\(raw: beyond)
             ORDER BY w.created_at DESC, w.id DESC
             LIMIT \(page.limit + 1)
            """
        )
        return try Answer.page(rows, WebhookEndpoint.record, page, keys: ["cursor_at", "cursor_id"])
    }
}
