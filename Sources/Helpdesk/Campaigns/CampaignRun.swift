import Connectors
import Foundation
import Functions
import Logging
import Postgres
import Redis
import Synchronization

/// Sends to one range of recipients, group by group: each group's attempts are recorded, sent in their slots, and settled.
///
/// Groups overlap, so that a slow provider doesn't keep those behind waiting.
struct CampaignRun: Sendable {
    /// Sends at one time, and how many of them make a group.
    private static let inFlight = 400
    private static let group = 100

    private let range: CampaignRange
    private let store: CampaignSendStore
    private let scope: OrganisationScope
    private let context: WorkContext
    /// When the last group begins at the latest.
    private let end: Date
    private let pace: Pace

    init(
        _ range: CampaignRange,
        store: CampaignSendStore,
        scope: OrganisationScope,
        context: WorkContext,
        end: Date
    ) {
        self.range = range
        self.store = store
        self.scope = scope
        self.context = context
        self.end = end
        pace = Pace(
            context.services.redis,
            channel: range.channel,
            kind: range.kind,
            campaign: store.id,
            perSecond: range.perSecond
        )
    }

    /// - Returns: whether the campaign may go on.
    /// - Throws: what PostgreSQL or Redis throws; what was begun is settled first, where that is possible.
    func send() async throws -> Bool {
        if range.isOrphaned { try await recover() }
        let halt = Halt()
        let mayGoOn = try await withThrowingTaskGroup(of: Void.self) { groups in
            var flying = 0
            // At most, since some may have ended before.
            var left = range.last - range.first + 1
            // A slot that is reserved and not used is missing from the rate, so none is without need.
            while context.now < end, !halt.isSet, left > 0 {
                // As many as leave within a tenth of a second, so that attempts are recorded just before they begin.
                let slots = try await pace.reserve(
                    min(Self.group, max(1, range.perSecond / 10), left),
                    horizon: 1
                )
                if slots.count == 0 {
                    try await Task.sleep(for: .seconds(min(max(0.01, slots.delay - 0.9), 1)))
                    continue
                }
                let first = ContinuousClock.now + .seconds(slots.delay)
                if slots.delay > 0.05 { try await Task.sleep(until: first - .milliseconds(30), clock: .continuous) }
                guard !halt.isSet else { break }
                let rows = try await scope.query(store.begin(range, most: slots.count))
                switch try rows.first?.get("state", as: String.self) {
                case "send"?:
                    let sends = try rows.map { try CampaignSend($0) }
                    left -= sends.count
                    flying += 1
                    // Their attempts are recorded, so whoever cancels this job must not keep their results from being written.
                    let group = Task { try await send(sends, from: first, in: slots, halt) }
                    groups.addTask { try await group.value }
                    if flying * slots.count >= Self.inFlight {
                        try await groups.next()
                        flying -= 1
                    }
                case "skip"?: continue
                case "none"?:
                    try await groups.waitForAll()
                    return true
                default:
                    try await groups.waitForAll()
                    return false
                }
            }
            try await groups.waitForAll()
            return !halt.isSet
        }
        _ = try await scope.query(store.finish(range))
        return mayGoOn
    }

    /// Decides about attempts that were never answered. Their lease has run out, so the provider's webhooks had a minute to tell:
    /// what they told of was sent. Of the rest nobody knows anything, and it isn't sent again unless that is safe.
    private func recover() async throws {
        let isSafe = if case .resend = range.connector.unansweredSend { true } else { false }
        if !isSafe {
            let proven = try await scope.query(store.proven(range)).map { row -> CampaignSendResult in
                let send = try CampaignSend(row)
                var result = CampaignSendResult(recipient: send.id, outcome: "sent")
                result.externalId = try row.get("external_id")
                // It has been made for them before, of the same values.
                result.rendered = (try? range.message.render { send.values[$0] }) ?? result.rendered
                return result
            }
            if !proven.isEmpty { _ = try await scope.run(store.settle(proven, on: range.channel)) }
        }
        _ = try await scope.query(store.recover(range, resend: isSafe))
    }

    /// Sends a group, each message in its slot, and writes what became of all of them.
    private func send(
        _ sends: [CampaignSend],
        from first: ContinuousClock.Instant,
        in slots: Pace.Slots,
        _ halt: Halt
    ) async throws {
        let outlet = ChannelOutlet(range.channel, range.connector, try Providers.shared(context), scope)
        let results = await withTaskGroup(of: (CampaignSendResult?, SendReport?).self) { group in
            for (index, send) in sends.enumerated() {
                let slot = first + .seconds(slots.spacing * Double(index))
                let leave = PaceGate.shared.pass(store.id, slot: slot, gap: .seconds(slots.gap))
                // Nobody cancels it; see above. Without a rate every slot has come.
                if leave > .now { try? await Task.sleep(until: leave, clock: .continuous) }
                group.addTask { await result(of: send, outlet) }
            }
            var results: [(CampaignSendResult?, SendReport?)] = []
            for await result in group { results.append(result) }
            return results
        }
        var statements: [SQL] = []
        let answers = results.compactMap(\.1?.result)
        for case .channel(let fault) in answers where !halt.set() {
            statements.append(store.hold(range.channel, fault))
        }
        for case .strangers(let fault) in answers where !halt.set() {
            statements.append(store.pauseAll(on: range.channel, fault))
        }
        let longest = answers.compactMap { answer -> Duration? in
            guard case .pace(let after, _) = answer else { return nil }
            return after ?? DeliveryVerdict.pacePause
        }.max()
        if let longest {
            statements.append(DeliveryStore.pacing(range.channel, by: longest, in: scope.organisation))
        }
        let outcomes = results.compactMap(\.0)
        statements += store.settle(outcomes, on: range.channel)
        // A template that the provider refuses would burn every recipient.
        for case .template(let fault) in answers where !halt.set() { statements.append(store.pause(fault)) }
        let settled = try await settle(statements)
        if let longest {
            await pace.slow(for: longest)
        } else if results.contains(where: { $0.1?.isStrained == true }) {
            await pace.slow(for: .zero)
        }
        let pending = try settled.first { $0.columns == ["pending"] }?.first?.get("pending", as: Int.self)
        if pending == 0 { _ = try await scope.query(store.complete) }
    }

    /// Again and again for a while: what isn't written here is lost, and the recipients would be unknown.
    private func settle(_ statements: [SQL]) async throws -> [PostgresRows] {
        let patience = ContinuousClock.now + .seconds(20)
        while true {
            do {
                return try await scope.run(statements)
            } catch {
                guard error.isTransient || error.isUnavailable, ContinuousClock.now < patience else { throw error }
                context.logger.notice("results of a campaign wait for the database", metadata: ["error": "\(error)"])
                // Nobody cancels it; see above.
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    /// What became of an attempt; none where nobody knows: its range is looked into when the lease has run out.
    private func result(
        of send: CampaignSend,
        _ outlet: ChannelOutlet
    ) async -> (CampaignSendResult?, SendReport?) {
        if let due = range.quietHours?.end(for: send.recipient.phone, at: context.now) {
            let pause = max(1, due.timeIntervalSince(context.now))
            return (CampaignSendResult(recipient: send.id, outcome: "deferred", pause: pause), nil)
        }
        if let fault = unreachable(send) {
            return (CampaignSendResult(recipient: send.id, outcome: "failed", fault: fault), nil)
        }
        let rendered: CampaignMessage.Rendered
        do {
            rendered = try range.message.render { send.values[$0] }
        } catch {
            let fault = SendFault("missing_variable", "There is no value for \(error.names.joined(separator: ", ")).")
            return (CampaignSendResult(recipient: send.id, outcome: "failed", fault: fault), nil)
        }
        guard rendered.text.unicodeScalars.count <= 4096 else {
            let fault = SendFault("message_too_long", "With its variables the text has more than 4096 characters.")
            return (CampaignSendResult(recipient: send.id, outcome: "failed", fault: fault), nil)
        }
        let message = OutboundMessage(
            id: send.id.uuid,
            attempt: send.attempts,
            recipient: send.recipient,
            text: rendered.text,
            template: rendered.template.map { Array($0.utf8) },
            lastInboundAt: send.lastInboundAt
        )
        if let fault = ChannelRules(range.kind).fault(inText: rendered.text) {
            return (CampaignSendResult(recipient: send.id, outcome: "failed", fault: fault), nil)
        }
        let report = await outlet.send(message, through: range.account)
        let verdict = DeliveryVerdict(
            report.result,
            attempts: send.attempts,
            age: .seconds(max(0, context.now.timeIntervalSince(send.firstAttemptedAt))),
            jitter: .random(in: 0...1),
            unanswered: range.connector.unansweredSend
        )
        var result: CampaignSendResult
        switch verdict {
        case .accepted(let externalId, let isDelivered):
            result = CampaignSendResult(recipient: send.id, outcome: isDelivered ? "delivered" : "sent")
            result.externalId = externalId
            result.rendered = rendered
        case .again(let pause):
            result = CampaignSendResult(recipient: send.id, outcome: "pending", pause: pause.inSeconds)
        case .paced(let pause):
            result = CampaignSendResult(recipient: send.id, outcome: "deferred", pause: pause.inSeconds)
        case .failed(let fault):
            result = CampaignSendResult(recipient: send.id, outcome: "failed", fault: fault)
            if range.kind == .whatsapp, fault.code == SendFault.stoppedMarketing {
                result = CampaignSendResult(recipient: send.id, outcome: "optedOut")
            }
            // Nothing is wrong with the recipient, who is left for when a person has looked into it.
            if case .strangers = report.result {
                result = CampaignSendResult(recipient: send.id, outcome: "deferred", pause: 0)
            }
        case .held:
            // Nothing was the recipient's fault.
            result = CampaignSendResult(recipient: send.id, outcome: "deferred", pause: 0)
        case .unknown:
            guard case .fail = range.connector.unansweredSend else { return (nil, report) }
            let shown = await outlet.sent(message, since: context.now.addingTimeInterval(-15), through: range.account)
            // The provider's id is a campaign's own only when one message alone says the same.
            if shown.count == 1 {
                result = CampaignSendResult(recipient: send.id, outcome: "sent")
                result.externalId = shown[0]
                result.rendered = rendered
            } else {
                result = CampaignSendResult(recipient: send.id, outcome: "failed", fault: .outcomeUnknown)
            }
        }
        result.alias = report.alias
        return (result, report)
    }

    /// Why the channel's rules let nobody write to this contact now.
    private func unreachable(_ send: CampaignSend) -> SendFault? {
        let age = send.lastInboundAt.map { context.now.timeIntervalSince($0) }
        switch range.kind {
        case .facebook, .instagram:
            if let age, age < 86_400 { return nil }
            return SendFault("window_closed", "The contact's last message is more than 24 hours old, or there is none.")
        case .twitter:
            return age == nil ? SendFault("never_wrote", "The contact has never written on this channel.") : nil
        case .whatsapp, .linkedin, .mock: return nil
        }
    }
}

/// That the campaign must not go on, said by whoever sees it first.
private final class Halt: Sendable {
    private let state = Mutex(false)

    var isSet: Bool { state.withLock { $0 } }

    /// - Returns: whether it was set before.
    func set() -> Bool {
        state.withLock { state in
            defer { state = true }
            return state
        }
    }
}
