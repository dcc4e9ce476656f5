import Logging
import Synchronization

/// The connections that carry the short statements of every task, and the calls that wait for one to be open.
final class Pipelines: LinkOwner, Timed {
    fileprivate struct State: Sendable {
        var open: [Link] = []
        var opening = 0
        /// Links with a call that took too long: they answer what they have, and close.
        var retired: [Link] = []
        var waiting = FIFO<(call: Call, until: Int64)>()
        var outage = Outage()
        var isStarted = false
        var stopped: PostgresError?
    }

    private let engine: Engine
    private let state = Mutex(State())
    private let atomicDue = Atomic<Int64>(Monotonic.never)

    init(_ engine: Engine) {
        self.engine = engine
    }

    var isBusy: Bool { false }

    var due: Int64 { atomicDue.load(ordering: .sequentiallyConsistent) }

    /// Sends the calls over the connection with the least in flight, or keeps them until one is open.
    func submit(_ calls: [Call]) {
        while true {
            let link: Link? = state.withLock { state in
                if let stopped = state.stopped {
                    for call in calls { call.answer(.failure(stopped)) }
                    return nil
                }
                if let link = state.open.min(by: { $0.load < $1.load }) { return link }
                let limit = Monotonic.after(engine.configuration.connectTimeout)
                for call in calls { state.waiting.append((call, min(call.deadline, limit))) }
                state.isStarted = true
                return nil
            }
            guard let link else { break }
            if link.submit(calls) { return }
            // It has just been lost: the poller takes it out too, but may not have come to it.
            state.withLock { $0.open.removeAll { $0 === link } }
        }
        schedule()
    }

    private func schedule() {
        let (due, links): (Int64, [Link]) = state.withLock { state in
            var due = Monotonic.never
            var links: [Link] = []
            if state.isStarted, state.stopped == nil {
                let missing = engine.configuration.pipelinedConnections - state.open.count - state.opening
                if missing > 0, state.outage.permitsAttempt {
                    links = (0..<missing).map { _ in Link(.shared, engine: engine, owner: self) }
                    state.opening += missing
                } else if missing > 0 {
                    due = state.outage.nextAttempt
                }
            }
            for position in 0..<state.waiting.count { due = min(due, state.waiting[position]?.until ?? due) }
            atomicDue.store(due, ordering: .sequentiallyConsistent)
            return (due, links)
        }
        engine.poller.note(due)
        for link in links { link.open() }
    }

    func fire(now: Int64) {
        let (expired, cause): ([Call], PostgresError?) = state.withLock { state in
            var expired: [Call] = []
            state.waiting.removeAll { entry in
                if entry.call.isAnswered { return true }
                if entry.until <= now { expired.append(entry.call) }
                return entry.until <= now
            }
            return (expired, state.outage.lastError)
        }
        for call in expired { call.answer(.failure(.noConnection(cause))) }
        schedule()
    }

    func stop(_ error: PostgresError) {
        let waiting: [Call] = state.withLock { state in
            state.stopped = error
            return state.takeWaiting()
        }
        for call in waiting { call.answer(.failure(error)) }
    }

    func linkDidOpen(_ link: Link) {
        let (waiting, stopped): ([Call], PostgresError?) = state.withLock { state in
            state.opening -= 1
            guard state.stopped == nil else { return ([], state.stopped) }
            state.open.append(link)
            state.outage.opened(engine)
            return (state.takeWaiting(), nil)
        }
        if let stopped { link.dismiss(stopped.message) }
        if !waiting.isEmpty { submit(waiting) }
    }

    func linkDidNotOpen(_ link: Link, _ error: PostgresError) {
        let waiting: [Call] = state.withLock { state in
            state.opening -= 1
            let isHopeless = state.outage.failed(error, engine) && state.open.isEmpty
            return isHopeless ? state.takeWaiting() : []
        }
        for call in waiting { call.answer(.failure(.noConnection(error))) }
        schedule()
    }

    func linkDidRetire(_ link: Link) {
        let surplus: Link? = state.withLock { state in
            state.open.removeAll { $0 === link }
            state.retired.append(link)
            return state.retired.count > engine.configuration.pipelinedConnections ? state.retired.removeFirst() : nil
        }
        surplus?.dismiss("the connection was given up after a timeout")
        schedule()
    }

    func linkDidClose(_ link: Link, _ error: PostgresError) {
        state.withLock { state in
            if state.retired.contains(where: { $0 === link }) {
                state.retired.removeAll { $0 === link }
                return
            }
            state.open.removeAll { $0 === link }
            if state.stopped == nil { state.outage.lost(link, error, engine) }
        }
        schedule()
    }

    func addStatistics(to statistics: inout PostgresStatistics) {
        state.withLock { state in
            statistics.pipelined = state.open.count
            statistics.inFlight = (state.open + state.retired).reduce(0) { $0 + $1.load }
            statistics.waitingForConnection = state.waiting.count
        }
    }
}

extension Pipelines.State {
    fileprivate mutating func takeWaiting() -> [Call] {
        var calls: [Call] = []
        while let entry = waiting.popFirst() {
            if !entry.call.isAnswered { calls.append(entry.call) }
        }
        return calls
    }
}
