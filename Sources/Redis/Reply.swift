import Synchronization

/// Where the answers of one call go.
///
/// The connection keeps a place in its line for each command whether or not anybody still waits for the answer: Redis
/// answers in order, so a place given up early would shift every later answer.
protocol Reply: AnyObject, Sendable {
    /// True once the call has returned: an answer is thrown away, and a command not yet sent need not be.
    var isSettled: Bool { get }

    /// Gives the call the outcome of its command at `position`; a second outcome for a position is thrown away.
    func settle(_ position: Int, _ outcome: RedisOutcome)
}

typealias RedisOutcome = Result<RESPValue, RedisError>

/// The call's side of a single command.
final class SingleReply: Reply {
    private enum State {
        case pending
        case awaited(UnsafeContinuation<RedisOutcome, Never>)
        case settled
    }

    private let state = Mutex(State.pending)

    var isSettled: Bool {
        state.withLock { if case .settled = $0 { true } else { false } }
    }

    func settle(_ position: Int, _ outcome: RedisOutcome) {
        take()?.resume(returning: outcome)
    }

    /// Suspends until the answer, a failure or the task's cancellation, which `abandoned` hears of if it came first.
    /// `send` is called once, unless the task was cancelled before.
    func outcome(
        sending send: (SingleReply) -> Void,
        abandoned: @escaping @Sendable () -> Void = {}
    ) async -> RedisOutcome {
        await withTaskCancellationHandler {
            // Unsafe only in that nothing checks it: `take` hands the continuation to one caller, once.
            await withUnsafeContinuation { continuation in
                guard begin(continuation) else { return continuation.resume(returning: .failure(.cancelled)) }
                send(self)
            }
        } onCancel: {
            guard let continuation = take() else { return }
            abandoned()
            continuation.resume(returning: .failure(.cancelled))
        }
    }

    private func begin(_ continuation: UnsafeContinuation<RedisOutcome, Never>) -> Bool {
        state.withLock { state in
            guard case .pending = state else { return false }
            state = .awaited(continuation)
            return true
        }
    }

    private func take() -> UnsafeContinuation<RedisOutcome, Never>? {
        state.withLock { state in
            defer { state = .settled }
            guard case .awaited(let continuation) = state else { return nil }
            return continuation
        }
    }
}

/// The call's side of several commands sent together: it returns when the last has its outcome.
final class PipelineReply: Reply {
    private struct State {
        var outcomes: [RedisOutcome?]
        var remaining: Int
        var continuation: CheckedContinuation<[RedisOutcome], Never>?
        var isCancelled = false

        /// Every outcome there is; what has none was cancelled.
        var collected: [RedisOutcome] { outcomes.map { $0 ?? .failure(.cancelled) } }
    }

    private let state: Mutex<State>

    init(count: Int) {
        state = Mutex(State(outcomes: Array(repeating: nil, count: count), remaining: count))
    }

    var isSettled: Bool {
        state.withLock { $0.isCancelled || $0.remaining == 0 }
    }

    func settle(_ position: Int, _ outcome: RedisOutcome) {
        let finished: (CheckedContinuation<[RedisOutcome], Never>, [RedisOutcome])? = state.withLock { state in
            guard !state.isCancelled, state.outcomes[position] == nil else { return nil }
            state.outcomes[position] = outcome
            state.remaining -= 1
            guard state.remaining == 0, let continuation = state.continuation.take() else { return nil }
            return (continuation, state.collected)
        }
        if let (continuation, outcomes) = finished { continuation.resume(returning: outcomes) }
    }

    /// Suspends until every command has an outcome or the task is cancelled.
    /// `send` is called once, unless the task was cancelled before.
    func outcomes(sending send: (PipelineReply) -> Void) async -> [RedisOutcome] {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let cancelled: [RedisOutcome]? = state.withLock { state in
                    guard !state.isCancelled else { return state.collected }
                    state.continuation = continuation
                    return nil
                }
                if let cancelled { return continuation.resume(returning: cancelled) }
                send(self)
            }
        } onCancel: {
            let cancelled: (CheckedContinuation<[RedisOutcome], Never>, [RedisOutcome])? = state.withLock { state in
                state.isCancelled = true
                return state.continuation.take().map { ($0, state.collected) }
            }
            if let (continuation, outcomes) = cancelled { continuation.resume(returning: outcomes) }
        }
    }
}
