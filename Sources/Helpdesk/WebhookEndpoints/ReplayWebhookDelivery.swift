import Functions
import Postgres

/// Sends a delivery again, whatever became of it.
///
/// `replay-webhook-delivery` in functions.yaml: `POST
/// /orgs/:orgId/webhook-endpoints/:webhookEndpointId/deliveries/:webhookDeliveryId/replay`, admins only. The attempts begin anew, under
/// the same `webhook-id`.
///
/// - Throws: ``Failure/notFound(_:)`` when either is absent or another organisation's; ``Failure/conflict(_:)`` while the
///   endpoint is disabled.
struct ReplayWebhookDelivery: HTTPFunction {
    struct Input: Decodable, Sendable {
        let webhookEndpointId: WebhookEndpoint.ID
        let webhookDeliveryId: WebhookDelivery.ID
    }

    static let input = Shape<Input>(
        path: [.required("webhookEndpointId", .uuid), .required("webhookDeliveryId", .uuid)]
    )

    static let output: OutputDeclaration = .object(WebhookDelivery.record, status: 202)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let organisation = transaction.organisation
            let endpoint = try await transaction.query(
                WebhookEndpoint.finding(input.webhookEndpointId, of: organisation, locked: true)
            )
            guard let endpoint = endpoint.first else { throw Failure.notFound("webhook endpoint") }
            let rows = try await transaction.query(
                """
                UPDATE webhook_deliveries AS d
                   SET status = 'pending', attempts = 0, first_attempted_at = NULL, next_attempt_at = now(),
                       delivered_at = NULL, error = NULL, response_status = NULL
                 WHERE d.org_id = \(organisation) AND d.id = \(input.webhookDeliveryId)
                   AND d.endpoint_id = \(input.webhookEndpointId)
                RETURNING \(raw: WebhookDelivery.record.selectList)
                """
            )
            guard !rows.isEmpty else { throw Failure.notFound("webhook delivery") }
            guard try endpoint.get("status", as: String.self) == "active" else {
                throw Failure.conflict("The webhook endpoint is disabled.")
            }
            transaction.enqueue(
                DeliverWebhooks.job(for: organisation, trace: transaction.origin.requestId),
                to: DeliverWebhooks.queue
            )
            return Answer.row(rows, WebhookDelivery.record, status: 202)
        }
    }
}
