import CPostgres
import Logging
import Synchronization

/// Whoever keeps connections and gives them calls.
protocol LinkOwner: AnyObject, Sendable {
    /// The link is open and takes calls. On any thread.
    func linkDidOpen(_ link: Link)
    /// The link could not be opened, and never will. On any thread.
    func linkDidNotOpen(_ link: Link, _ error: PostgresError)
    /// The link still answers what it has, but takes no more. On the poller's thread.
    func linkDidRetire(_ link: Link)
    /// The link that was open is closed; every call on it has its answer. On the poller's thread.
    func linkDidClose(_ link: Link, _ error: PostgresError)
    /// On the poller's thread.
    func linkDidReceive(_ notifications: [(channel: String, payload: String)])
}

extension LinkOwner {
    func linkDidRetire(_ link: Link) {}
    func linkDidReceive(_ notifications: [(channel: String, payload: String)]) {}
}

/// One connection, from the attempt to open it until it is closed. Opens once; a lost one is replaced, not reopened.
///
/// Any task sends under the lock; the poller's thread alone reads, and closes.
final class Link: Sendable {
    /// What becomes of a statement that takes too long.
    enum Kind: Sendable {
        /// Calls of many tasks lie behind one another and none can be cancelled alone: the link is retired.
        case shared
        /// The one task that has it can have the statement cancelled.
        case lent
    }

    let kind: Kind
    private let engine: Engine
    private let owner: any LinkOwner
    private let session = Mutex<Session?>(nil)

    private let atomicDescriptor = Atomic<Int32>(-1)
    private let atomicDue = Atomic<Int64>(Monotonic.never)
    private let atomicLoad = Atomic<Int>(0)
    private let atomicWantsWrite = Atomic<Bool>(false)
    private let atomicNeedsAttention = Atomic<Bool>(false)
    private let atomicIsDismissed = Atomic<Bool>(false)
    /// When the owner was told that it is open; 0 before.
    private let openedAt = Atomic<Int64>(0)

    init(_ kind: Kind, engine: Engine, owner: any LinkOwner) {
        self.kind = kind
        self.engine = engine
        self.owner = owner
    }

    var descriptor: Int32 { atomicDescriptor.load(ordering: .relaxed) }
    var due: Int64 { atomicDue.load(ordering: .sequentiallyConsistent) }
    /// Calls in flight.
    var load: Int { atomicLoad.load(ordering: .relaxed) }
    var wantsWrite: Bool { atomicWantsWrite.load(ordering: .sequentiallyConsistent) }
    /// Whether the poller is to look at it even though its socket is silent.
    var needsAttention: Bool { atomicNeedsAttention.load(ordering: .sequentiallyConsistent) }
    /// Whether the owner itself had it closed.
    var isDismissed: Bool { atomicIsDismissed.load(ordering: .relaxed) }
    /// For how long it has been open, in nanoseconds.
    var age: Int64 { Monotonic.now() - openedAt.load(ordering: .relaxed) }

    var isOpen: Bool { session.withLock { $0.map { $0.defect == nil } ?? false } }

    /// Whether it can be lent to the next task as it is.
    var isClean: Bool { session.withLock { $0?.isClean ?? false } }

    /// Tries once to connect, on a thread of its own, sets the session up, and tells the owner.
    func open() {
        let isStarted = detachThread { [self] in
            do throws(PostgresError) {
                adopt(try Connector.connect(engine))
            } catch {
                owner.linkDidNotOpen(self, error)
            }
        }
        if !isStarted { owner.linkDidNotOpen(self, PostgresError(.connection, "no thread is to be had")) }
    }

    private func adopt(_ connection: ConnectionPointer) {
        let limit = engine.configuration.prepare ? Engine.statementLimit : 0
        atomicDescriptor.store(PQsocket(connection.pointer), ordering: .relaxed)
        session.withLock { $0 = Session(connection, isShared: kind == .shared, statementLimit: limit) }
        engine.connects.add(1, ordering: .relaxed)
        let deadline = Monotonic.after(engine.configuration.connectTimeout)
        let greeting = Call([engine.sessionStatement], deadline: deadline) { [weak self] answer in
            guard let self else { return }
            switch answer {
            case .success:
                openedAt.store(Monotonic.now(), ordering: .relaxed)
                owner.linkDidOpen(self)
            case .failure(let error):
                doom(error)
            }
        }
        _ = submit(greeting)
        if !engine.poller.add(self) { close(PostgresError(.connection, "the client was shut down")) }
    }

    // MARK: Sending, by any task

    /// Sends a call, as far as the socket takes it now.
    ///
    /// - Returns: Whether the link took it and will answer it; otherwise it was not touched.
    func submit(_ call: Call) -> Bool {
        submit(CollectionOfOne(call))
    }

    /// Sends the calls one behind the other, each with a Sync of its own.
    func submit(_ calls: some Collection<Call>) -> Bool {
        exchange { session in
            guard !session.isRetired, session.defect == nil else { return false }
            guard session.mode == .pipeline else {
                for call in calls { call.answer(.failure(Self.misuse)) }
                return true
            }
            if kind == .shared || session.isClean {
                session.sendDiscarded(deadline: calls.first?.deadline ?? Monotonic.never)
            }
            for call in calls {
                if call.isCancelRequested.load(ordering: .sequentiallyConsistent) {
                    call.answer(.failure(Self.cancelled))
                } else {
                    session.send(call)
                }
            }
            // Every Sync was flushed already (libpq 15 does so); this says whether something is left.
            session.flush()
            return true
        } ?? false
    }

    /// Leaves pipeline mode for one exchange, which `begin` sends; the answer of the call ends it.
    func submitExchange(_ call: Call, mode: Session.Mode, _ begin: (OpaquePointer) -> Bool) -> Bool {
        exchange { session in
            guard session.defect == nil, !session.isRetired else { return false }
            guard session.mode == .pipeline, session.pending.isEmpty else {
                call.answer(.failure(Self.misuse))
                return true
            }
            session.pending.append(Session.Pending(call: call, deadline: call.deadline))
            session.mode = mode
            if PQexitPipelineMode(session.pointer) == 1, begin(session.pointer) {
                session.flush()
            } else {
                session.defect = session.lastError("the statement could not be sent")
            }
            return true
        } ?? false
    }

    /// Does something with the open session under the lock, and tells the poller what it has to know of it.
    ///
    /// - Returns: `nil` when the link is not open.
    func exchange<R: Sendable>(_ body: (inout Session) -> R) -> R? {
        let result: (value: R, due: Int64, wantsWrite: Bool, isDefective: Bool)? = session.withLock { session in
            session?.perform { session in
                let inFlight = session.pending.count
                let value = body(&session)
                var due = Monotonic.never
                for position in inFlight..<max(inFlight, session.pending.count) {
                    due = min(due, session.pending[position]?.deadline ?? due)
                }
                atomicLoad.add(session.pending.count - inFlight, ordering: .relaxed)
                return (value, due, session.wantsWrite, session.defect != nil)
            }
        }
        guard let result else { return nil }
        if result.due < atomicDue.min(result.due, ordering: .sequentiallyConsistent).oldValue {
            engine.poller.note(result.due)
        }
        if result.wantsWrite, !atomicWantsWrite.exchange(true, ordering: .sequentiallyConsistent) {
            engine.poller.wake()
        }
        if result.isDefective { attend() }
        return result.value
    }

    private static let misuse = PostgresError(.connection, "a script or a COPY has the connection to itself")
    static let cancelled = PostgresError(.cancelled, "the task was cancelled")

    // MARK: Giving up, by any task

    /// Asks the poller to close the link.
    func doom(_ error: PostgresError) {
        session.withLock { session in
            session?.perform { $0.defect = $0.defect ?? error }
        }
        attend()
    }

    /// Asks the poller to close a link that is sound but not wanted any more, which says nothing about the server.
    func dismiss(_ reason: String) {
        atomicIsDismissed.store(true, ordering: .relaxed)
        doom(PostgresError(.connection, reason))
    }

    /// Has the poller look at the link even though its socket may stay silent.
    func attend() {
        atomicNeedsAttention.store(true, ordering: .sequentiallyConsistent)
        engine.poller.wake()
    }

    /// Has the server stop a call of a lent link; its answer comes all the same, soon.
    func cancel(_ call: Call) {
        call.isCancelRequested.store(true, ordering: .sequentiallyConsistent)
        _ = exchange { session in
            for position in 0..<session.pending.count where session.pending[position]?.call === call {
                interrupt(&session, at: position, as: .cancelled)
            }
        }
        atomicDue.store(0, ordering: .sequentiallyConsistent)
        engine.poller.note(0)
    }

    private func interrupt(_ session: inout Session, at position: Int, as kind: PostgresError.Kind) {
        guard session.pending[position]?.interruption == nil else { return }
        session.pending[position]?.interruption = kind
        session.pending[position]?.deadline = Monotonic.after(Engine.grace)
        session.isTainted = true
        cancelOnServer(session)
    }

    private func cancelOnServer(_ session: Session) {
        guard let canceller = session.canceller else { return }
        detachThread { canceller.cancel() }
    }

    // MARK: On the poller's thread

    /// Reads what has come, writes what is left, and closes a connection that is of no more use.
    func serve() {
        var outcome = Session.Outcome()
        atomicNeedsAttention.store(false, ordering: .sequentiallyConsistent)
        session.withLock { session in
            session?.perform { session in
                session.receive(into: &outcome)
                atomicWantsWrite.store(session.wantsWrite, ordering: .sequentiallyConsistent)
                if session.isRetired, session.isAbandoned, outcome.defect == nil {
                    outcome.defect = PostgresError(.connection, "the connection was retired")
                }
            }
        }
        deliver(outcome)
        if let defect = outcome.defect { close(defect) }
    }

    /// Deals with the calls whose deadline has passed.
    func fire(now: Int64) {
        var overdue: [Call] = []
        var defect: PostgresError?
        var isRetiring = false
        let late = PostgresError(.timeout, "the server did not answer in time")
        // What is submitted from here on lowers it again.
        atomicDue.store(Monotonic.never, ordering: .sequentiallyConsistent)
        let due: Int64? = session.withLock { session in
            session?.perform { session in
                var due = Monotonic.never
                for position in 0..<session.pending.count {
                    guard let pending = session.pending[position] else { continue }
                    if pending.deadline > now {
                        due = min(due, pending.deadline)
                    } else if kind == .shared {
                        overdue.append(pending.call)
                        session.pending[position]?.deadline = Monotonic.never
                        if !session.isRetired { isRetiring = true }
                        session.isRetired = true
                    } else if pending.interruption == nil {
                        interrupt(&session, at: position, as: .timeout)
                        due = min(due, session.pending[position]?.deadline ?? due)
                    } else {
                        defect = late.with(kind: pending.interruption ?? .timeout)
                    }
                }
                return due
            }
        }
        for call in overdue { call.answer(.failure(late)) }
        if isRetiring { owner.linkDidRetire(self) }
        if let due { atomicDue.min(due, ordering: .sequentiallyConsistent) }
        let isAbandoned = session.withLock { $0?.perform { $0.isRetired && $0.isAbandoned } ?? false }
        if isAbandoned { defect = defect ?? late }
        if let defect { close(defect) }
    }

    /// Closes the connection and answers what is in flight with the error.
    func close(_ error: PostgresError) {
        var outcome = Session.Outcome()
        let isClosed = session.withLock { session in
            guard session != nil else { return false }
            session?.perform { session in
                // What nobody awaits any more should not keep the server busy either.
                if !session.pending.isEmpty, PQstatus(session.pointer) == CONNECTION_OK { cancelOnServer(session) }
                session.finish(error, into: &outcome)
            }
            session = nil
            return true
        }
        engine.poller.remove(self)
        guard isClosed else { return }
        engine.losses.add(1, ordering: .relaxed)
        deliver(outcome)
        if openedAt.load(ordering: .relaxed) == 0 {
            owner.linkDidNotOpen(self, error)
        } else {
            owner.linkDidClose(self, error)
        }
    }

    private func deliver(_ outcome: Session.Outcome) {
        if !outcome.answers.isEmpty {
            atomicLoad.subtract(outcome.answers.count, ordering: .relaxed)
            for (call, answer) in outcome.answers {
                engine.count(answer)
                call.answer(answer)
            }
        }
        if !outcome.notifications.isEmpty { owner.linkDidReceive(outcome.notifications) }
    }
}

extension Session {
    /// Whether nobody awaits any of the calls in flight.
    fileprivate var isAbandoned: Bool {
        for position in 0..<pending.count where pending[position]?.call.isAnswered == false { return false }
        return true
    }
}
