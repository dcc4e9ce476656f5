import Dispatch
import Foundation
import Synchronization

/// Hashes and checks passwords on threads of its own, a bounded number at a time, with a bounded line waiting.
///
/// A hash takes a tenth of a second of one core by design. On the cooperative pool a few of them would stop every other
/// request; unbounded, a flood of log-ins would. So there is one thread for every two cores, at least one, and whoever
/// comes when the line is full is told ``PasswordError/busy`` at once. A task that is cancelled leaves the line.
package final class PasswordHasher: Sendable {
    private let cost: PasswordCost
    private let line: Line

    /// - Parameters:
    ///   - cost: what new hashes take; hashes with another cost stay valid.
    ///   - threads: how many are computed at once; `nil` is one for every two cores.
    ///   - waiting: how many may wait beyond those; 40 take 4 s on one thread, longer than which few clients wait.
    package init(cost: PasswordCost = .standard, threads: Int? = nil, waiting: Int = 40) {
        self.cost = cost
        line = Line(threads: threads ?? max(1, ProcessInfo.processInfo.activeProcessorCount / 2), limit: waiting)
    }

    deinit {
        line.close()
    }

    /// The text to store for `password`, with a new salt.
    ///
    /// - Throws: ``PasswordError``, or `CancellationError` when the task was cancelled before its turn.
    package func hash(_ password: String) async throws -> String {
        let cost = cost
        return try await line.run { try PasswordHash(of: password, cost: cost).text }
    }

    /// Whether `password` is the one behind `stored`.
    ///
    /// - Parameters:
    ///   - password: as the user gave it.
    ///   - stored: the text of a hash, or `nil` when the user is unknown: then a hash is computed all the same, so that
    ///     the time of the answer doesn't tell who has an account.
    /// - Returns: ``PasswordVerdict/wrong`` for an unknown user, whatever the password.
    /// - Throws: ``PasswordError``, or `CancellationError` when the task was cancelled before its turn.
    package func verify(_ password: String, against stored: String?) async throws -> PasswordVerdict {
        let cost = cost
        return try await line.run {
            guard let stored else {
                _ = try PasswordHash(of: password, cost: cost)
                return .wrong
            }
            guard let hash = PasswordHash(stored) else { throw PasswordError.unreadableHash }
            guard try hash.matches(password) else { return .wrong }
            return hash.cost == cost ? .right : .rightButOutdated
        }
    }

    /// How many are being computed or wait.
    package var load: Int { line.load }
}

/// What the check of a password found.
package enum PasswordVerdict: Sendable, Equatable {
    case wrong
    case right
    /// Right, and the moment to store a new hash: the old one took another amount of work than is wanted now.
    case rightButOutdated

    package var isRight: Bool { self != .wrong }
}

/// The work that waits, and the threads that do it. Threads start when they are first needed.
private final class Line: Sendable {
    private struct Entry {
        let id: Int
        /// Does the work and returns how to answer the caller.
        let perform: @Sendable () -> @Sendable () -> Void
        let refuse: @Sendable () -> Void
    }

    private struct State {
        var waiting: [Entry] = []
        var nextID = 0
        var running = 0
        var threads = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let arrivals = DispatchSemaphore(value: 0)
    private let threads: Int
    private let limit: Int

    init(threads: Int, limit: Int) {
        precondition(threads > 0 && limit >= 0, "a line needs a thread")
        self.threads = threads
        self.limit = limit
    }

    var load: Int { state.withLock { $0.waiting.count + $0.running } }

    func close() {
        let threads = state.withLock { state in
            state.isClosed = true
            return state.threads
        }
        for _ in 0..<threads { arrivals.signal() }
    }

    func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let entry = Entry(
                    id: id,
                    perform: {
                        let result = Result { try work() }
                        return { continuation.resume(with: result) }
                    },
                    refuse: { continuation.resume(throwing: CancellationError()) }
                )
                if let refusal = join(entry) { continuation.resume(throwing: refusal) }
            }
        } onCancel: {
            leave(id)
        }
    }

    /// Puts the entry in the line; the error it must be refused with when it can't wait.
    private func join(_ entry: Entry) -> (any Error)? {
        let (refusal, needsThread): ((any Error)?, Bool) = state.withLock { state in
            // A cancellation from here on finds the entry in the line, since `leave` needs the lock.
            guard !Task.isCancelled else { return (CancellationError(), false) }
            guard state.waiting.count + state.running < threads + limit else { return (PasswordError.busy, false) }
            state.waiting.append(entry)
            guard state.threads < threads, state.waiting.count + state.running > state.threads else {
                return (nil, false)
            }
            state.threads += 1
            return (nil, true)
        }
        if refusal == nil {
            if needsThread { startThread() }
            arrivals.signal()
        }
        return refusal
    }

    /// Takes a cancelled entry out of the line, unless a thread has it already.
    private func leave(_ id: Int) {
        let entry: Entry? = state.withLock { state in
            guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiting.remove(at: index)
        }
        entry?.refuse()
    }

    private func startThread() {
        let thread = Thread { self.work() }
        thread.name = "passwords"
        thread.start()
    }

    private func work() {
        while true {
            arrivals.wait()
            let (entry, isClosed): (Entry?, Bool) = state.withLock { state in
                guard !state.waiting.isEmpty else { return (nil, state.isClosed) }
                state.running += 1
                return (state.waiting.removeFirst(), false)
            }
            if isClosed { return }
            guard let entry else { continue }
            let answer = entry.perform()
            state.withLock { $0.running -= 1 }
            answer()
        }
    }
}
