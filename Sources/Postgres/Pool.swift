import Logging
import Synchronization

/// The connections that are lent to one task at a time, and the tasks that wait for one, first come first served.
final class Pool: LinkOwner, Timed {
    fileprivate typealias Loan = Result<Link, PostgresError>

    fileprivate final class Waiter: Sendable {
        let reply = Reply<Loan>()
        let until: Int64

        init(until: Int64) {
            self.until = until
        }
    }

    fileprivate struct State: Sendable {
        var idle: [Link] = []
        var lent = 0
        var opening = 0
        var waiting = FIFO<Waiter>()
        var outage = Outage()
        var stopped: PostgresError?

        var size: Int { idle.count + lent + opening }
    }

    private let engine: Engine
    private let state = Mutex(State())
    private let atomicDue = Atomic<Int64>(Monotonic.never)

    init(_ engine: Engine) {
        self.engine = engine
    }

    var isBusy: Bool { state.withLock { $0.lent > 0 } }

    var due: Int64 { atomicDue.load(ordering: .sequentiallyConsistent) }

    /// Waits for a connection until the point given, at most for the time to connect.
    func borrow(until deadline: Int64) async throws(PostgresError) -> Link {
        guard !Task.isCancelled else { throw Link.cancelled }
        let limit = min(deadline, Monotonic.after(engine.configuration.connectTimeout))
        let waiter = Waiter(until: limit)
        let loan: Loan? = state.withLock { state in
            if let stopped = state.stopped { return .failure(stopped) }
            if state.waiting.isEmpty {
                while let link = state.idle.popLast() {
                    // The poller closes one that is not; it just has not come to it.
                    guard link.isOpen else { continue }
                    state.lent += 1
                    return .success(link)
                }
            }
            guard state.waiting.count < engine.configuration.waitingLimit else {
                return .failure(PostgresError(.poolExhausted, "too many tasks wait for a connection"))
            }
            state.waiting.append(waiter)
            return nil
        }
        if let loan { return try loan.get() }
        schedule()
        let answer = await withTaskCancellationHandler {
            await waiter.reply.wait()
        } onCancel: {
            waiter.reply.answer(.failure(Link.cancelled))
        }
        return try answer.get()
    }

    /// Takes a connection back; one that is not as it was when it was lent is closed and replaced.
    func giveBack(_ link: Link) {
        let isReusable = link.isClean
        state.withLock { state in
            state.lent -= 1
            if isReusable, state.stopped == nil { state.lend(link) }
        }
        if !isReusable { link.dismiss("the connection was not clean when it was given back") }
        schedule()
    }

    private func schedule() {
        let (due, links): (Int64, [Link]) = state.withLock { state in
            var due = Monotonic.never
            var links: [Link] = []
            let missing = min(
                state.waiting.count - state.opening,
                engine.configuration.pooledConnections - state.size
            )
            if missing > 0, state.stopped == nil {
                if state.outage.permitsAttempt {
                    links = (0..<missing).map { _ in Link(.lent, engine: engine, owner: self) }
                    state.opening += missing
                } else {
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
        let (expired, error): ([Waiter], PostgresError) = state.withLock { state in
            var expired: [Waiter] = []
            state.waiting.removeAll { waiter in
                if waiter.reply.isAnswered { return true }
                if waiter.until <= now { expired.append(waiter) }
                return waiter.until <= now
            }
            let error =
                state.outage.lastError.map { PostgresError.noConnection($0) }
                ?? PostgresError(.poolExhausted, "no connection became free in time")
            return (expired, error)
        }
        for waiter in expired { waiter.reply.answer(.failure(error)) }
        schedule()
    }

    func stop(_ error: PostgresError) {
        let waiting: [Waiter] = state.withLock { state in
            state.stopped = error
            return state.takeWaiting()
        }
        for waiter in waiting { waiter.reply.answer(.failure(error)) }
    }

    func linkDidOpen(_ link: Link) {
        let stopped: PostgresError? = state.withLock { state in
            state.opening -= 1
            guard state.stopped == nil else { return state.stopped }
            state.outage.opened(engine)
            state.lend(link)
            return nil
        }
        if let stopped { link.dismiss(stopped.message) }
        schedule()
    }

    func linkDidNotOpen(_ link: Link, _ error: PostgresError) {
        let waiting: [Waiter] = state.withLock { state in
            state.opening -= 1
            let isHopeless = state.outage.failed(error, engine) && state.size == 0
            return isHopeless ? state.takeWaiting() : []
        }
        for waiter in waiting { waiter.reply.answer(.failure(.noConnection(error))) }
        schedule()
    }

    func linkDidClose(_ link: Link, _ error: PostgresError) {
        state.withLock { state in
            // One that is lent is counted until it is given back.
            state.idle.removeAll { $0 === link }
            if state.stopped == nil, !link.isDismissed { state.outage.lost(link, error, engine) }
        }
        schedule()
    }

    func addStatistics(to statistics: inout PostgresStatistics) {
        state.withLock { state in
            statistics.pooled = state.size
            statistics.busy = state.lent
            statistics.waitingForPool = state.waiting.count
        }
    }
}

extension Pool.State {
    /// Hands the link to the first who still waits, or keeps it.
    fileprivate mutating func lend(_ link: Link) {
        while let waiter = waiting.popFirst() {
            if waiter.reply.answer(.success(link)) {
                lent += 1
                return
            }
        }
        idle.append(link)
    }

    fileprivate mutating func takeWaiting() -> [Pool.Waiter] {
        var waiters: [Pool.Waiter] = []
        while let waiter = waiting.popFirst() { waiters.append(waiter) }
        return waiters
    }
}
