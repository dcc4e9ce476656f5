import Synchronization

/// Wakes one waiting task; raised while nobody waits it is remembered, once.
final class Signal: Sendable {
    private struct State {
        var isRaised = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func raise() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard let waiter = state.waiter else {
                state.isRaised = true
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume()
    }

    /// Returns when the signal is raised or the task is cancelled. One task may wait at a time.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isRaised = state.withLock { state in
                    guard state.isRaised || Task.isCancelled else {
                        state.waiter = continuation
                        return false
                    }
                    state.isRaised = false
                    return true
                }
                if isRaised { continuation.resume() }
            }
        } onCancel: {
            raise()
        }
    }

    /// Returns when the signal is raised or the time is over, whichever is first.
    func wait(atMost limit: Duration) async {
        let timer = Task {
            do { try await Task.sleep(for: limit) } catch { return }
            raise()
        }
        await wait()
        timer.cancel()
    }
}
