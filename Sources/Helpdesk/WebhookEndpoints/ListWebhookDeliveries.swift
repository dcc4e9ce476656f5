import Functions
import Postgres

/// Lists what became of telling a webhook endpoint, newest first. Kept for a week.
///
/// `list-webhook-deliveries` in functions.yaml: `GET /orgs/:orgId/webhook-endpoints/:webhookEndpointId/deliveries`, admins only.
///
/// - Throws: ``Failure/notFound(_:)`` when the endpoint is absent or another organisation's.
struct ListWebhookDeliveries: HTTPFunction {
    struct Input: Decodable, Sendable {
        let webhookEndpointId: WebhookEndpoint.ID
        let status: String?
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(
        path: [.required("webhookEndpointId", .uuid)],
        query: [.optional("status", .choice(["pending", "delivered", "failed"]))] + Field.paging
    )

    static let output: OutputDeclaration = .page(of: WebhookDelivery.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let page = try context.page(limit: input.limit, cursor: input.cursor, filters: [input.status])
        var condition: SQL = ""
        if let status = input.status { condition += " AND d.status = \(status)" }
        if let after = page.after, after.count == 2 {
            condition += " AND (d.created_at, d.id) < (\(after[0])::timestamptz, \(after[1])::uuid)"
        }
        let rows = try await context.run([
            WebhookEndpoint.finding(input.webhookEndpointId, of: organisation),
            """
            SELECT \(raw: WebhookDelivery.record.selectList), d.created_at::text AS cursor_at, d.id::text AS cursor_id
              FROM webhook_deliveries AS d
             WHERE d.org_id = \(organisation) AND d.endpoint_id = \(input.webhookEndpointId)\(raw: condition)
             ORDER BY d.created_at DESC, d.id DESC
             LIMIT \(page.limit + 1)
            """,
        ])
        guard !rows[0].isEmpty else { throw Failure.notFound("webhook endpoint") }
        return try Answer.page(rows[1], WebhookDelivery.record, page, keys: ["cursor_at", "cursor_id"])
    }
}
