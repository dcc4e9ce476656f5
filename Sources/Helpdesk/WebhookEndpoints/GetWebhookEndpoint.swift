import Functions
import Postgres

/// Shows a webhook endpoint without its secret.
///
/// `get-webhook-endpoint` in functions.yaml: `GET /orgs/:orgId/webhook-endpoints/:webhookEndpointId`, admins only.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent or another organisation's.
struct GetWebhookEndpoint: HTTPFunction {
    struct Input: Decodable, Sendable {
        let webhookEndpointId: WebhookEndpoint.ID
    }

    static let input = Shape<Input>(path: [.required("webhookEndpointId", .uuid)])

    static let output: OutputDeclaration = .object(WebhookEndpoint.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let rows = try await context.query(WebhookEndpoint.finding(input.webhookEndpointId, of: organisation))
        guard !rows.isEmpty else { throw Failure.notFound("webhook endpoint") }
        return Answer.row(rows, WebhookEndpoint.record)
    }
}
