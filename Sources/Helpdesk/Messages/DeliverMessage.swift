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
/// A message that its provider takes in several calls is sent part by part; each part that was accepted is recorded, so whoever
/// goes on after a crash begins behind it.
///
/// Of an attempt that was never answered (its process died, or the connection broke after the message was handed over) nobody
/// knows the outcome. A mock channel's message is sent again, which it takes as the same one. Where the provider's webhooks
/// name our message they get a minute to tell; if they don't it is sent again where this process was listening all the time,
/// and fails with `outcome_unknown` where it wasn't. Elsewhere the conversation is read back, and what isn't found in it fails
/// likewise: nothing is sent twice on a guess.
///
/// A job ends as done when nothing is left or somebody else is at it, as snoozed until the first message in line may be tried
/// again, or as failed, and tried again, when the database is away. A surplus job is harmless.
struct DeliverMessage: QueueFunction {
    struct Payload: Decodable, Sendable {
        let orgId: Organisation.ID
        let ticketId: Ticket.ID
    }

    static let queue = "outbound"

    private static let longestSleep = Duration.seconds(600)
    /// For getting a file and giving it to the provider, where it takes no addresses.
    private static let uploadPatience = Duration.seconds(45)

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
            case .later(let due):
                let pause = Self.pause(until: due, context)
                // A longer wait is the sweep's business: jobs that sleep for hours would only pile up.
                return pause > Self.longestSleep ? .done() : .snooze(pause)
            case .busy(let until):
                // Whoever holds the lease looks again before giving it back. Only a job that was begun before may be the
                // holder's own, taken up again after its death.
                return job.attempt > 1 ? .snooze(Self.pause(until: until, context)) : .done()
            case .unanswered(let delivery):
                let settled = try await Self.decide(delivery, store, scope, context)
                let results = try await scope.run(settled + [store.claim])
                await EventHub.announce([scope.organisation], context.services)
                step = try DeliveryStep(results[settled.count], sealed)
            case .send(let delivery):
                // Where there is a limit to share, campaigns leave room for it.
                if let kind = Channel.Kind(rawValue: delivery.kind), kind != .mock {
                    await Pace.announceAgent(on: delivery.channel, context.services.redis)
                }
                // A file may need the time of a whole job: the next one's, and the attempt doesn't count.
                let isTooLate = delivery.connector.needsUpload(delivery.part) && !Self.hasTimeForUpload(context)
                var outcome: (verdict: DeliveryVerdict, statements: [SQL]) = (.paced(after: .zero), [])
                if !isTooLate { outcome = try await Self.send(delivery, store, scope, context) }
                let (verdict, statements) = outcome
                let isLast = isTooLate || Self.isRunningOut(context)
                let settled = store.settle(delivery, verdict) + statements
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

    /// Sends the next part; what is to be written besides the verdict comes along.
    private static func send(
        _ delivery: Delivery,
        _ store: DeliveryStore,
        _ scope: OrganisationScope,
        _ context: WorkContext
    ) async throws -> (DeliveryVerdict, [SQL]) {
        let connector = delivery.connector
        let outlet = ChannelOutlet(delivery.channel, connector, try Providers.shared(context), scope)
        let part = delivery.part
        let report: SendReport
        if connector.needsUpload(part) {
            let until = context.now.addingTimeInterval(uploadPatience.inSeconds)
            _ = try await scope.query(store.prolong(by: Int(uploadPatience.inSeconds) + DeliveryStore.lease))
            report = try await sendWithFile(part, delivery, outlet, until: until, context)
        } else {
            report = await outlet.send(part, through: delivery.account)
        }
        let verdict = DeliveryVerdict(
            report.result,
            attempts: delivery.attempts,
            age: .seconds(max(0, context.now.timeIntervalSince(delivery.firstAttemptedAt))),
            jitter: .random(in: 0...1),
            unanswered: connector.unansweredSend
        )
        var statements = report.alias.map { [store.naming(delivery, $0)] } ?? []
        switch verdict {
        case .paced(let pause): await Pace.slow(delivery.channel, for: pause, context.services.redis)
        case .unknown:
            context.logger.notice(
                "nobody knows whether a message was accepted",
                metadata: ["message": "\(delivery.id)", "channel": "\(delivery.channel)"]
            )
            if case .await = connector.unansweredSend {
                // We are listening: what doesn't come within the minute was not accepted.
                let again = DeliveryVerdict(
                    .retry(after: DeliveryVerdict.evidencePatience, .outcomeUnknown),
                    attempts: delivery.attempts,
                    age: .seconds(max(0, context.now.timeIntervalSince(delivery.firstAttemptedAt))),
                    jitter: 0,
                    unanswered: .await
                )
                return (again, statements)
            }
            statements += try await decide(delivery, store, scope, context)
        default: if report.isStrained { await Pace.slow(delivery.channel, for: .zero, context.services.redis) }
        }
        return (verdict, statements)
    }

    private static func sendWithFile(
        _ part: OutboundMessage,
        _ delivery: Delivery,
        _ outlet: ChannelOutlet,
        until deadline: Date,
        _ context: WorkContext
    ) async throws -> SendReport {
        guard let attachment = part.attachments.first else { return await outlet.send(part, through: delivery.account) }
        let connector = delivery.connector
        let fetched = try await OutgoingMedia(context).fetch(attachment, patience: .seconds(15)) {
            connector.uploadLimit(of: $0)
        }
        switch fetched {
        case .refused(let result): return SendReport(result)
        case .file(let file): return await outlet.send(part, through: delivery.account, giving: (file, deadline))
        }
    }

    private static func hasTimeForUpload(_ context: WorkContext) -> Bool {
        guard let deadline = context.deadline else { return true }
        return deadline.timeIntervalSince(context.now) > uploadPatience.inSeconds + 30
    }

    /// What is written about an attempt of which no answer is known.
    private static func decide(
        _ delivery: Delivery,
        _ store: DeliveryStore,
        _ scope: OrganisationScope,
        _ context: WorkContext
    ) async throws -> [SQL] {
        let connector = delivery.connector
        if case .resend = connector.unansweredSend { return store.settle(delivery, .again(after: .zero)) }
        let isAwaited = if case .fail = connector.unansweredSend { false } else { true }
        if isAwaited, !delivery.hasWaited { return [store.awaiting(delivery)] }
        let outlet = ChannelOutlet(delivery.channel, connector, try Providers.shared(context), scope)
        let shown = await outlet.sent(delivery.part, since: delivery.attemptedAt, through: delivery.account)
        if !shown.isEmpty,
            let found = try await scope.query(store.unclaimed(shown, on: delivery.channel)).first
        {
            return store.settle(delivery, .accepted(externalId: try found.get("id"), isDelivered: false))
        }
        return store.settle(delivery, .failed(.outcomeUnknown))
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
        // A call, an exchange of the token, and what is written.
        return deadline.timeIntervalSince(context.now) < 30
    }
}
