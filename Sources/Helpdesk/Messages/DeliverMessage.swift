import Connectors
import Foundation
import Functions
import Logging
import Postgres
import Queue
import Redis
import Security

/// Sends what is queued on a ticket, one message after another in the order in which they were posted.
///
/// `deliver-message` in functions.yaml: `queue: outbound`. The job only names the ticket; which messages there are, and whether they are
/// this organisation's, the database says. Under a lease on the ticket each attempt is recorded before the connector sends,
/// and what became of it afterwards, together with the next attempt. A message that is to be tried again holds those
/// behind it, a final failure doesn't. Where the channel itself is out of order it becomes `error` and its messages stay
/// queued; where it is gone they fail with `channel_gone`.
///
/// Of an attempt that was never answered (its process died) nobody knows the outcome. A mock channel's message is sent
/// again, which it takes as the same one; elsewhere it fails with `outcome_unknown` rather than arrive twice.
///
/// A job ends as done when nothing is left or somebody else is at it, as snoozed until the first message in line may be tried
/// again, or as failed, and tried again, when the database is away. A surplus job is harmless.
struct DeliverMessage: QueueFunction {
    struct Payload: Decodable, Sendable {
        let orgId: Organisation.ID
        let ticketId: Ticket.ID
    }

    static let queue = "outbound"

    static let payload = Shape<Payload>(
        body: .json([
            .required("orgId", .uuid, doc: "where the ticket is looked for; grants nothing"),
            .required("ticketId", .uuid),
        ])
    )

    /// The job of one ticket. It takes the counter's id: a kept finished job would block one of its own.
    static func job(for ticket: Ticket.ID, of organisation: Organisation.ID, trace: String?) -> NewJob {
        let data: JSON = ["orgId": .string(organisation.description), "ticketId": .string(ticket.description)]
        return NewJob(
            name: name,
            data: data.text,
            organisation: organisation.uuid,
            trace: trace.flatMap { $0.isEmpty ? nil : $0 }
        )
    }

    func handle(_ job: Work<Payload>, in context: WorkContext) async throws -> Outcome {
        let scope = context.organisation(job.payload.orgId, trace: job.trace)
        let store = DeliveryStore(job.payload.orgId, ticket: job.payload.ticketId, holder: UUID.v7())
        let sealed = context.services.sealed
        var step = try DeliveryStep(try await scope.query(store.claim), sealed)
        while true {
            switch step {
            case .idle: return .done()
            case .later(let due): return .snooze(Self.pause(until: due, context))
            case .busy(let until):
                // Whoever holds the lease looks again before giving it back. Only a job that was begun before may be the
                // holder's own, taken up again after its death.
                return job.attempt > 1 ? .snooze(Self.pause(until: until, context)) : .done()
            case .send(let delivery):
                // Where there is a limit to share, campaigns leave room for it.
                if let kind = Channel.Kind(rawValue: delivery.kind), kind != .mock {
                    await Pace.announceAgent(on: delivery.channel, context.services.redis)
                }
                let verdict = await Self.send(delivery, context)
                let isLast = Self.isRunningOut(context)
                let settled = store.settle(delivery, verdict)
                let results = try await scope.run(settled + [isLast ? store.release : store.claim])
                await EventHub.announce([scope.organisation], context.services)
                if case .held(let fault) = verdict {
                    context.logger.warning(
                        "a channel is out of order",
                        metadata: ["channel": "\(delivery.channel)", "code": "\(fault.code)"]
                    )
                    await Self.announceChange(of: delivery.channel, context)
                }
                if isLast { return .snooze(.milliseconds(1)) }
                step = try DeliveryStep(results[settled.count], sealed)
            }
        }
    }

    private static func send(_ delivery: Delivery, _ context: WorkContext) async -> DeliveryVerdict {
        let connector = delivery.connector
        if delivery.isUnanswered, case .fail = connector.unansweredSend { return .failed(.outcomeUnknown) }
        let result = await connector.send(delivery.message, through: delivery.account)
        return DeliveryVerdict(
            result,
            attempts: delivery.attempts,
            age: .seconds(max(0, context.now.timeIntervalSince(delivery.firstAttemptedAt))),
            jitter: .random(in: 0...1),
            unanswered: connector.unansweredSend
        )
    }

    /// Other processes' ``ChannelDirectory`` may miss it: what they know is a second old at most.
    private static func announceChange(of channel: Channel.ID, _ context: WorkContext) async {
        _ = await context.services.redis.pipeline([
            ["PUBLISH", .string(ChannelDirectory.topic), .string(channel.description)]
        ])
    }

    private static func pause(until date: Date, _ context: WorkContext) -> Duration {
        .milliseconds(max(1, Int64((date.timeIntervalSince(context.now) * 1000).rounded(.up))))
    }

    /// Whether there may be no time for another message before the deadline.
    private static func isRunningOut(_ context: WorkContext) -> Bool {
        guard let deadline = context.deadline else { return false }
        return deadline.timeIntervalSince(context.now) < 5
    }
}
