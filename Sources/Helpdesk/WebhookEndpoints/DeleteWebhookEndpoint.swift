import Functions
import Postgres

/// Deletes a webhook endpoint with its deliveries; nothing more is sent to it.
///
/// `delete-webhook-endpoint` in functions.yaml: `DELETE /orgs/:orgId/webhook-endpoints/:webhookEndpointId`, admins only.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent or another organisation's.
struct DeleteWebhookEndpoint: HTTPFunction {
    struct Input: Decodable, Sendable {
        let webhookEndpointId: WebhookEndpoint.ID
    }

    static let input = Shape<Input>(path: [.required("webhookEndpointId", .uuid)])

    static let output: OutputDeclaration = .none

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let deleted = try await transaction.query(
                """
                DELETE FROM webhook_endpoints
                 WHERE org_id = \(transaction.organisation) AND id = \(input.webhookEndpointId)
                """
            )
            guard deleted.affected > 0 else { throw Failure.notFound("webhook endpoint") }
            _ = try await transaction.query(
                transaction.auditing("webhook_endpoint.delete", input.webhookEndpointId.uuid)
            )
            WebhookDirectory.announceChange(in: transaction)
            return .nothing
        }
    }
}
