import Synchronization

/// The wish that a process ends because its successor serves already, on the same socket.
///
/// Unlike SIGTERM it gives open connections time to be told so: nobody who keeps one in use sees it break.
package final class Retirement: Sendable {
    private struct State {
        var isWished = false
        var act: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())

    package init() {}

    var isWished: Bool { state.withLock { $0.isWished } }

    package func wish() {
        let act = state.withLock { state in
            state.isWished = true
            defer { state.act = nil }
            return state.act
        }
        act?()
    }

    /// Calls `act` once it is wished, or now if it has been.
    func whenWished(_ act: @escaping @Sendable () -> Void) {
        let isWished = state.withLock { state in
            if !state.isWished { state.act = act }
            return state.isWished
        }
        if isWished { act() }
    }
}
