import Functions
import Synchronization

/// Cancels what runs longer than it may.
///
/// One sweep for all calls instead of a timer and a task group for each: a request costs one registration. Deadlines are
/// kept to within ``resolution``.
final class Deadlines: Sendable {
    static let resolution = Duration.milliseconds(100)

    private struct Entry {
        let deadline: ContinuousClock.Instant
        let cancel: @Sendable () -> Void
        var isOver = false
    }

    private struct State {
        var next: UInt64 = 0
        var entries: [UInt64: Entry] = [:]
    }

    private let state = Mutex(State())

    /// Cancels what is over until the task is cancelled; runs once per process.
    func sweep() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.resolution)  // cancelled: the loop ends
            let now = ContinuousClock.now
            let due = state.withLock { state in
                var due: [@Sendable () -> Void] = []
                for (id, entry) in state.entries where entry.deadline <= now && !entry.isOver {
                    state.entries[id]?.isOver = true
                    due.append(entry.cancel)
                }
                return due
            }
            for cancel in due { cancel() }
        }
    }

    /// Calls `over` unless ``end(_:)`` comes within `limit`.
    func begin(_ limit: Duration, over: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.next += 1
            state.entries[state.next] = Entry(deadline: .now + limit, cancel: over)
            return state.next
        }
    }

    func end(_ id: UInt64) {
        state.withLock { _ = $0.entries.removeValue(forKey: id) }
    }

    /// Runs `body`, which is cancelled once `limit` has passed.
    ///
    /// - Throws: ``DeadlineExceeded`` where it then failed; a body that ended well all the same keeps its answer.
    func run<Value: Sendable>(
        _ limit: Duration?,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        guard let limit else { return try await body() }
        let task = Task { try await body() }
        let id = state.withLock { state in
            state.next += 1
            state.entries[state.next] = Entry(deadline: .now + limit, cancel: { task.cancel() })
            return state.next
        }
        defer { state.withLock { _ = $0.entries.removeValue(forKey: id) } }
        do {
            return try await withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            }
        } catch {
            let isOver = state.withLock { $0.entries[id]?.isOver ?? false }
            if isOver, !(error is Failure) { throw DeadlineExceeded() }
            throw error
        }
    }
}
