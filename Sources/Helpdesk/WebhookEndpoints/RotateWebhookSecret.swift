import Functions
import Postgres

/// Gives a webhook endpoint a new secret; for a day the one before signs too.
///
/// `rotate-webhook-secret` in functions.yaml: `POST /orgs/:orgId/webhook-endpoints/:webhookEndpointId/rotate-secret`, admins only.
/// The secret is in this answer and its replay only.
///
/// - Throws: ``Failure/notFound(_:)`` when it is absent or another organisation's.
struct RotateWebhookSecret: HTTPFunction {
    struct Input: Decodable, Sendable {
        let webhookEndpointId: WebhookEndpoint.ID
    }

    static let input = Shape<Input>(path: [.required("webhookEndpointId", .uuid)])

    static let output: OutputDeclaration = .object(WebhookEndpoint.recordWithSecret)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let id = input.webhookEndpointId
        let secret = WebhookSecret()
        return try await context.transaction { transaction in
            let rows = try await transaction.query(
                """
                UPDATE webhook_endpoints AS w
                   SET old_secret = w.secret, old_secret_until = now() + interval '24 hours',
                       secret = \(secret.sealed(for: id, with: context.services.sealed)), updated_at = now()
                 WHERE w.org_id = \(transaction.organisation) AND w.id = \(id)
                RETURNING \(raw: WebhookEndpoint.record.selectList)
                """
            )
            guard !rows.isEmpty else { throw Failure.notFound("webhook endpoint") }
            _ = try await transaction.query(
                transaction.auditing("webhook_endpoint.update", id.uuid, changes: [.secret("secret")])
            )
            return WebhookEndpoint.answer(rows, secret: secret, status: 200)
        }
    }
}
