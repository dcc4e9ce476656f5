import Synchronization

/// Lets so many calls of one function run at once; the others wait in line.
///
/// A call whose task is cancelled, by its deadline for one, leaves the line.
final class ConcurrencyLimit: Sendable {
    private struct State {
        var running = 0
        var next: UInt64 = 0
        /// In the order in which they came.
        var waiting: [(id: UInt64, continuation: CheckedContinuation<Void, any Error>)] = []
    }

    private let most: Int
    private let state = Mutex(State())

    init(_ most: Int) {
        self.most = most
    }

    func run<Value>(_ body: () async throws -> Value) async throws -> Value {
        try await enter()
        defer { leave() }
        return try await body()
    }

    private func enter() async throws {
        let id = state.withLock { state -> UInt64? in
            if state.running < most {
                state.running += 1
                return nil
            }
            state.next += 1
            return state.next
        }
        guard let id else { return }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                // Nothing that is still to be decided here: `nil` where the call waits.
                let decided = state.withLock { state -> Result<Void, any Error>? in
                    // Asked under the lock that the cancellation handler takes too, so one of them sees it.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if state.running < most {
                        state.running += 1
                        return .success(())
                    }
                    state.waiting.append((id, continuation))
                    return nil
                }
                if let decided { continuation.resume(with: decided) }
            }
        } onCancel: {
            take(id)?.resume(throwing: CancellationError())
        }
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        next?.resume()
    }

    private func take(_ id: UInt64) -> CheckedContinuation<Void, any Error>? {
        state.withLock { state in
            guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiting.remove(at: index).continuation
        }
    }
}
