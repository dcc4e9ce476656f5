import Egress
import Foundation
import Functions
import Logging
import Postgres
import Queue

/// Tells an organisation's endpoints of what happened.
///
/// `deliver-webhooks` in functions.yaml: works the queue `webhooks`. A job names the organisation; the database holds how far
/// its events have been handed out and which deliveries are due. A crash after an endpoint's answer and before it is written
/// down has it told again, under the same `webhook-id`.
struct DeliverWebhooks: QueueFunction {
    static let queue = "webhooks"

    struct Payload: Decodable, Sendable {
        let orgId: Organisation.ID
    }

    static let payload = Shape<Payload>(
        body: .json([.required("orgId", .uuid, doc: "whose events are looked at; grants nothing")])
    )

    private static let handedOut = 500
    /// At once; a slow endpoint keeps one of these waiting and no more.
    private static let width = 20
    private static let answerLimit = Duration.seconds(15)
    private static let lease = 60

    static func job(for organisation: Organisation.ID, trace: String?) -> NewJob {
        let data: JSON = ["orgId": .string(organisation.description)]
        return NewJob(
            name: name,
            data: data.text,
            organisation: organisation.uuid,
            trace: trace.flatMap { $0.isEmpty ? nil : $0 }
        )
    }

    func handle(_ job: Work<Payload>, in context: WorkContext) async throws -> Outcome {
        let scope = context.organisation(job.payload.orgId, trace: job.trace)
        let store = WebhookStore(scope.organisation)
        let egress = try Egress.shared(context.services, allowing: context.setting("EGRESS_ALLOW"))
        while true {
            let handed = try await scope.query(store.handOut(Self.handedOut))
            let claimed = try await scope.query(store.claim(Self.width, lease: Self.lease)).map(ClaimedDelivery.init)
            try await attempt(claimed, store, scope, egress)
            if Self.isRunningOut(context) { return .snooze(.milliseconds(1)) }
            let isFull = try handed.first?.get("events", as: Int.self) == Self.handedOut
            guard claimed.isEmpty, !isFull else { continue }
            if try handed.first?.get("is_waiting", as: Bool.self) == true { return .snooze(.milliseconds(100)) }
            let next = try await scope.query(store.nextDue).first?.optional("next", as: Date.self)
            // What is due later is the sweep's.
            guard let next, next.timeIntervalSince(context.now) < 30 else { return .done() }
            return .snooze(.milliseconds(max(1, Int64(next.timeIntervalSince(context.now) * 1000) + 1)))
        }
    }

    private func attempt(
        _ deliveries: [ClaimedDelivery],
        _ store: WebhookStore,
        _ scope: OrganisationScope,
        _ egress: Egress
    ) async throws {
        guard !deliveries.isEmpty else { return }
        let reader = EventReader(postgres: scope.services.postgres, key: scope.services.cursorKey)
        let events = try await reader.described(deliveries.map(\.event), of: scope.organisation)
        let bodies = Dictionary(events.map { ($0.position, $0.json) }, uniquingKeysWith: { first, _ in first })
        try await withThrowingTaskGroup { group in
            for delivery in deliveries {
                group.addTask {
                    guard let body = bodies[delivery.event.position] else {
                        _ = try await scope.run(store.settle(delivery, .gone, status: nil))
                        return
                    }
                    let (status, fault) = try await Self.send(delivery, body, scope, egress)
                    let verdict = WebhookVerdict(
                        status: status,
                        fault: fault,
                        attempts: delivery.attempts,
                        age: .seconds(max(0, scope.services.now().timeIntervalSince(delivery.firstAttemptedAt))),
                        jitter: .random(in: 0...1)
                    )
                    _ = try await scope.run(store.settle(delivery, verdict, status: status))
                    if verdict != .delivered { try await Self.disable(delivery.endpoint, status, store, scope) }
                }
            }
            try await group.waitForAll()
        }
    }

    /// The answer's status, or why there is none.
    private static func send(
        _ delivery: ClaimedDelivery,
        _ body: [UInt8],
        _ scope: OrganisationScope,
        _ egress: Egress
    ) async throws -> (status: Int?, fault: String?) {
        let id = delivery.id.description
        let timestamp = Int64(scope.services.now().timeIntervalSince1970)
        let signatures = try delivery.secrets.map {
            try WebhookSecret.open($0, of: delivery.endpoint, with: scope.services.sealed)
                .signature(id: id, timestamp: timestamp, body: body)
        }
        let request = OutgoingRequest(
            method: "POST",
            url: delivery.url,
            headers: [
                ("Content-Type", "application/json"), ("User-Agent", "DelightChat-Webhooks/1"), ("webhook-id", id),
                ("webhook-timestamp", String(timestamp)), ("webhook-signature", signatures.joined(separator: " ")),
            ],
            body: body,
            timeout: answerLimit
        )
        do {
            return (try await egress.send(request).status, nil)
        } catch {
            return (nil, error.description)
        }
    }

    /// Disables an endpoint that is gone or has failed for days, and leaves a note of it.
    private static func disable(
        _ endpoint: WebhookEndpoint.ID,
        _ status: Int?,
        _ store: WebhookStore,
        _ scope: OrganisationScope
    ) async throws {
        let isGone = status == 410
        let reason = isGone ? "The endpoint answered 410: it is gone." : "Every delivery failed for three days."
        let statement = store.disable(endpoint, reason: reason, failingFor: isGone ? nil : WebhookVerdict.patience)
        let isDisabled = try await scope.transaction { transaction in
            guard try await !transaction.query(statement).isEmpty else { return false }
            _ = try await transaction.run([
                store.abandoning(endpoint),
                transaction.auditing(
                    "webhook_endpoint.update",
                    endpoint.uuid,
                    changes: [AuditChange("status", from: "active", to: "disabled")]
                ),
            ])
            WebhookDirectory.announceChange(in: transaction)
            return true
        }
        guard isDisabled else { return }
        scope.services.logger.warning(
            "a webhook endpoint was disabled",
            metadata: ["organisation": "\(scope.organisation)", "endpoint": "\(endpoint)", "reason": "\(reason)"]
        )
    }

    /// Whether there may be no time for another round before the deadline.
    private static func isRunningOut(_ context: WorkContext) -> Bool {
        guard let deadline = context.deadline else { return false }
        return deadline.timeIntervalSince(context.now) < 20
    }
}
