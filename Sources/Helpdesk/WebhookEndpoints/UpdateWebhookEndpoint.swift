import Egress
import Functions
import Postgres

/// Changes where a webhook endpoint is, what it hears of, or whether it hears at all.
///
/// `update-webhook-endpoint` in functions.yaml: `PUT /orgs/:orgId/webhook-endpoints/:webhookEndpointId`, admins only. `active`
/// takes it out of being disabled, whoever disabled it; what happened meanwhile isn't sent. What changes nothing writes
/// nothing.
///
/// - Throws: ``Failure/invalid(_:)`` for an address that isn't public; ``Failure/notFound(_:)`` when it is absent or another
///   organisation's.
struct UpdateWebhookEndpoint: HTTPFunction {
    struct Input: Decodable, Sendable {
        let webhookEndpointId: WebhookEndpoint.ID
        let url: Patch<String>
        let events: Patch<[String]>
        let description: Patch<String>
        let status: Patch<String>
    }

    static let input = Shape<Input>(
        path: [.required("webhookEndpointId", .uuid)],
        body: .json([
            .patch("url", WebhookEndpoint.url, example: "https://hooks.example.com/delightchat"),
            .patch("events", WebhookEndpoint.events, example: ["ticket.created"]),
            .patch("description", .text(1...300), clearable: true, example: "Our warehouse"),
            .patch("status", .choice(["active", "disabled"])),
        ])
    )

    static let output: OutputDeclaration = .object(WebhookEndpoint.record)

    static func check(_ body: JSON, in context: HTTPContext, into check: inout FieldCheck) throws {
        try Egress.check(body, allowing: context.setting("EGRESS_ALLOW"), into: &check)
    }

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let organisation = transaction.organisation
            let rows = try await transaction.query(
                WebhookEndpoint.finding(input.webhookEndpointId, of: organisation, locked: true)
            )
            guard let row = rows.first else { throw Failure.notFound("webhook endpoint") }
            let old = try State(row)
            let new = State(input, over: old)
            let changes = new.changes(from: old)
            guard !changes.isEmpty else { return Answer.row(rows, WebhookEndpoint.record) }

            let isRevived = old.status != "active" && new.status == "active"
            var statements: [SQL] = [
                """
                UPDATE webhook_endpoints AS w
                   SET url = \(new.url), events = \(new.events)::text[], description = \(new.description),
                       status = \(new.status), status_reason = CASE WHEN \(isRevived) THEN NULL ELSE w.status_reason END,
                       failing_since = CASE WHEN \(isRevived) THEN NULL ELSE w.failing_since END, updated_at = now()
                 WHERE w.org_id = \(organisation) AND w.id = \(input.webhookEndpointId)
                RETURNING \(raw: WebhookEndpoint.record.selectList)
                """,
                transaction.auditing("webhook_endpoint.update", input.webhookEndpointId.uuid, changes: changes),
            ]
            if new.status == "disabled", old.status == "active" {
                statements.append(WebhookStore(organisation).abandoning(input.webhookEndpointId))
            }
            let written = try await transaction.run(statements)
            WebhookDirectory.announceChange(in: transaction)
            return Answer.row(written[0], WebhookEndpoint.record)
        }
    }

    private struct State {
        let url: String
        let events: [String]
        let description: String?
        let status: String

        init(_ row: PostgresRow) throws {
            url = try row.get("url")
            events = try row.get("events")
            description = try row.optional("description")
            status = try row.get("status")
        }

        init(_ input: Input, over old: State) {
            url = input.url.given ?? old.url
            events = input.events.given.map(WebhookEndpoint.distinct) ?? old.events
            description = input.description.applied(to: old.description)
            status = input.status.given ?? old.status
        }

        func changes(from old: State) -> [AuditChange] {
            let all = [
                AuditChange("url", from: .string(old.url), to: .string(url)),
                AuditChange(
                    "events",
                    from: .array(old.events.map(JSON.string)),
                    to: .array(events.map(JSON.string))
                ),
                AuditChange("description", from: .text(old.description), to: .text(description)),
                AuditChange("status", from: .string(old.status), to: .string(status)),
            ]
            return all.filter { $0.from != $0.to }
        }
    }
}
