import Egress
import Functions
import Postgres

/// Has the organisation's events sent to an address, from now on.
///
/// `create-webhook-endpoint` in functions.yaml: `POST /orgs/:orgId/webhook-endpoints`, admins only. The secret is in this answer and
/// its replay only.
///
/// - Throws: ``Failure/invalid(_:)`` for an address that isn't public.
struct CreateWebhookEndpoint: HTTPFunction {
    struct Input: Decodable, Sendable {
        let url: String
        let events: [String]
        let description: String?
    }

    static let input = Shape<Input>(
        body: .json([
            .required("url", WebhookEndpoint.url, example: "https://hooks.example.com/delightchat"),
            .required("events", WebhookEndpoint.events, doc: "types of events", example: ["ticket.created"]),
            .optional("description", .text(1...300), example: "Our warehouse"),
        ])
    )

    static let output: OutputDeclaration = .object(WebhookEndpoint.recordWithSecret, status: 201)

    static func check(_ body: JSON, in context: HTTPContext, into check: inout FieldCheck) throws {
        try Egress.check(body, allowing: context.setting("EGRESS_ALLOW"), into: &check)
    }

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let id = WebhookEndpoint.ID()
        let secret = WebhookSecret()
        return try await context.transaction { transaction in
            let rows = try await transaction.run([
                """
                INSERT INTO webhook_endpoints AS w (org_id, id, url, events, description, secret)
                VALUES (\(transaction.organisation), \(id), \(input.url), \(WebhookEndpoint.distinct(input.events))::text[],
                        \(input.description), \(secret.sealed(for: id, with: context.services.sealed)))
                RETURNING \(raw: WebhookEndpoint.record.selectList)
                """,
                """
                INSERT INTO webhook_positions (org_id, xid, place)
                VALUES (\(transaction.organisation), pg_snapshot_xmin(pg_current_snapshot()), 0)
                ON CONFLICT (org_id) DO NOTHING
                """,
                transaction.auditing(
                    "webhook_endpoint.create",
                    id.uuid,
                    changes: [
                        AuditChange("url", from: .null, to: .string(input.url)),
                        AuditChange("events", from: .null, to: .array(input.events.map(JSON.string))),
                    ]
                ),
            ])
            WebhookDirectory.announceChange(in: transaction)
            return WebhookEndpoint.answer(rows[0], secret: secret, status: 201)
        }
    }
}
