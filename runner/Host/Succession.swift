package import NIOCore
import Synchronization

/// How processes that share a listening socket follow one another: only one of them accepts.
///
/// Two that did would race for each connection, and NIO takes a socket on which there turns out to be nothing for a fault of its
/// own. So each waits until its turn, and says when it is over; whoever connects in between waits in the socket.
package final class Succession: Sendable {
    private struct State {
        var isTurn = false
        var isOver = false
        var begin: (@Sendable () -> Void)?
        var end: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())
    private let released: @Sendable () -> Void

    /// - Parameter released: called when nothing more is accepted and the successor may.
    package init(released: @escaping @Sendable () -> Void) {
        self.released = released
    }

    /// Whether a successor is there. Unlike SIGTERM that gives open connections time to be told so: nobody who keeps one in use
    /// sees it break.
    package var isOver: Bool { state.withLock { $0.isOver } }

    /// It is this process's turn to accept.
    package func begin() {
        let act = state.withLock { state in
            state.isTurn = true
            defer { state.begin = nil }
            return state.begin
        }
        act?()
    }

    /// The successor serves, or would.
    package func end() {
        let act = state.withLock { state in
            state.isOver = true
            defer { state.end = nil }
            return state.end
        }
        act?()
    }

    /// Calls `act` once this process may accept, or now if it may.
    func whenBegun(_ act: @escaping @Sendable () -> Void) {
        let isTurn = state.withLock { state in
            if !state.isTurn { state.begin = act }
            return state.isTurn
        }
        if isTurn { act() }
    }

    /// Calls `act` once this process has a successor, or now if it has.
    package func whenOver(_ act: @escaping @Sendable () -> Void) {
        let isOver = state.withLock { state in
            if !state.isOver { state.end = act }
            return state.isOver
        }
        if isOver { act() }
    }

    /// Has `server`, which was bound with `autoRead` off, accept once it is this process's turn.
    package func accept(_ server: any Channel) {
        // Fails where the server has been closed, and then nothing is to be accepted.
        whenBegun { server.setOption(.autoRead, value: true).whenFailure { _ in } }
    }

    func release() { released() }
}
