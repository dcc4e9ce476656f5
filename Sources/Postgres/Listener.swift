import Logging
import Synchronization

/// What a ``Postgres/listen(_:)`` yields.
package enum PostgresNotification: Sendable, Hashable {
    case message(channel: String, payload: String)
    /// Listening has taken effect, the first time or after a gap: messages sent before may have been missed, so
    /// whatever they tell of is to be read anew.
    case reconnected
}

/// The connection that listens, open while anybody subscribes, and its subscribers.
final class Listener: LinkOwner, Timed {
    fileprivate final class Subscriber: Sendable {
        let channels: Set<String>
        let continuation: AsyncStream<PostgresNotification>.Continuation
        /// A message was dropped because its reader is slow.
        let hasGap = Mutex(false)

        init(channels: Set<String>, continuation: AsyncStream<PostgresNotification>.Continuation) {
            self.channels = channels
            self.continuation = continuation
        }
    }

    private struct State: Sendable {
        var subscribers: [Int: Subscriber] = [:]
        var subscriptions = 0
        var link: Link?
        var isOpening = false
        var outage = Outage()
        var isStopped = false
    }

    /// Messages kept for a slow reader; beyond them it is told of a gap instead.
    private static let bufferLimit = 4096

    private let engine: Engine
    private let state = Mutex(State())
    private let atomicDue = Atomic<Int64>(Monotonic.never)

    init(_ engine: Engine) {
        self.engine = engine
    }

    var due: Int64 { atomicDue.load(ordering: .sequentiallyConsistent) }

    var isBusy: Bool { false }

    func subscribe(_ channels: Set<String>) -> AsyncStream<PostgresNotification> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PostgresNotification.self,
            bufferingPolicy: .bufferingOldest(Self.bufferLimit)
        )
        let (id, link): (Int?, Link?) = state.withLock { state in
            guard !state.isStopped else { return (nil, nil) }
            state.subscriptions += 1
            state.subscribers[state.subscriptions] = Subscriber(channels: channels, continuation: continuation)
            return (state.subscriptions, state.link)
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in self?.unsubscribe(id) }
        if let link { listen(on: link, to: channels, for: [id]) } else { schedule() }
        return stream
    }

    private func unsubscribe(_ id: Int) {
        let (link, surplus, isLast): (Link?, Set<String>, Bool) = state.withLock { state in
            guard let gone = state.subscribers.removeValue(forKey: id) else { return (nil, [], false) }
            let wanted = state.subscribers.values.reduce(into: Set()) { $0.formUnion($1.channels) }
            return (state.link, gone.channels.subtracting(wanted), state.subscribers.isEmpty)
        }
        guard let link else { return }
        if isLast {
            link.dismiss("nobody listens any more")
        } else if !surplus.isEmpty {
            let statements = surplus.map { SQL("UNLISTEN \(raw: .identifier($0))") }
            _ = link.submit(Call(statements, deadline: engine.deadline(nil)))
        }
    }

    /// Sends LISTEN, which does nothing for a channel that is listened to already, and tells the subscribers when it
    /// has taken effect.
    private func listen(on link: Link, to channels: Set<String>, for ids: [Int]) {
        let statements = channels.sorted().map { SQL("LISTEN \(raw: .identifier($0))") }
        let call = Call(statements, deadline: engine.deadline(nil)) { [weak self, weak link] answer in
            switch answer {
            case .success: self?.confirm(ids)
            case .failure(let error): link?.doom(error)
            }
        }
        // A link that takes no more is about to close, and its successor listens for everybody.
        _ = link.submit(call)
    }

    private func confirm(_ ids: [Int]) {
        // Not under the lock: a reader that is being cancelled holds its task's own lock while it waits for ours to
        // unsubscribe, and to resume that reader takes its task's lock.
        let subscribers = state.withLock { state in ids.compactMap { state.subscribers[$0] } }
        for subscriber in subscribers { subscriber.yield(.reconnected) }
    }

    private func schedule() {
        let (due, link): (Int64, Link?) = state.withLock { state in
            var due = Monotonic.never
            var link: Link?
            if !state.isStopped, state.link == nil, !state.isOpening, !state.subscribers.isEmpty {
                if state.outage.permitsAttempt {
                    link = Link(.shared, engine: engine, owner: self)
                    state.isOpening = true
                } else {
                    due = state.outage.nextAttempt
                }
            }
            atomicDue.store(due, ordering: .sequentiallyConsistent)
            return (due, link)
        }
        engine.poller.note(due)
        link?.open()
    }

    func fire(now: Int64) {
        schedule()
    }

    func stop(_ error: PostgresError) {
        let subscribers = state.withLock { state in
            state.isStopped = true
            defer { state.subscribers = [:] }
            return state.subscribers
        }
        for subscriber in subscribers.values { subscriber.continuation.finish() }
    }

    func linkDidOpen(_ link: Link) {
        let (channels, ids): (Set<String>, [Int]) = state.withLock { state in
            state.isOpening = false
            guard !state.isStopped, !state.subscribers.isEmpty else { return ([], []) }
            state.link = link
            state.outage.opened(engine)
            return (
                state.subscribers.values.reduce(into: Set()) { $0.formUnion($1.channels) },
                Array(state.subscribers.keys)
            )
        }
        if ids.isEmpty {
            link.dismiss("nobody listens any more")
        } else {
            listen(on: link, to: channels, for: ids)
        }
    }

    func linkDidNotOpen(_ link: Link, _ error: PostgresError) {
        state.withLock { state in
            state.isOpening = false
            _ = state.outage.failed(error, engine)
        }
        schedule()
    }

    func linkDidRetire(_ link: Link) {
        link.doom(PostgresError(.timeout, "LISTEN was not answered in time"))
    }

    func linkDidClose(_ link: Link, _ error: PostgresError) {
        state.withLock { state in
            guard state.link === link else { return }
            state.link = nil
            if !state.isStopped, !link.isDismissed { state.outage.lost(link, error, engine) }
        }
        schedule()
    }

    func linkDidReceive(_ notifications: [(channel: String, payload: String)]) {
        // Not under the lock, as in `confirm`.
        let subscribers = state.withLock { Array($0.subscribers.values) }
        for (channel, payload) in notifications {
            for subscriber in subscribers where subscriber.channels.contains(channel) {
                subscriber.yield(.message(channel: channel, payload: payload))
            }
        }
    }
}

extension Listener.Subscriber {
    /// Called by the poller's thread alone, so one at a time; unsubscribing doesn't need this lock.
    fileprivate func yield(_ notification: PostgresNotification) {
        hasGap.withLock { hasGap in
            if hasGap {
                if case .dropped = continuation.yield(.reconnected) { return }
                hasGap = false
            }
            if case .dropped = continuation.yield(notification) { hasGap = true }
        }
    }
}
