import Foundation
import Synchronization

/// What waits to be written to one stream.
///
/// Bounded: a reader that is too slow for what happens loses the connection and resumes where it was, instead of holding
/// everything in memory.
final class EventMailbox: Sendable {
    enum Item: Sendable {
        case event(EventReader.Event)
        /// Write a comment, so that proxies and dead connections show.
        case beat
        /// Look whether the session still holds.
        case verify
        /// Tell what was held back.
        case release
    }

    /// What may wait, in bytes of JSON.
    private static let capacity = 1 << 20

    private struct State {
        var items: [Item] = []
        var bytes = 0
        var isEnded = false
        var reader: CheckedContinuation<Void, Never>?
    }

    let expires: Date?
    private let state = Mutex(State())

    init(expires: Date?) {
        self.expires = expires
    }

    /// Everything that waits, as soon as there is something; `nil` once it has ended. For one reader.
    func take() async -> [Item]? {
        while true {
            let (items, isEnded) = state.withLock { state in
                defer {
                    state.items = []
                    state.bytes = 0
                }
                return (state.items, state.isEnded)
            }
            if isEnded { return nil }
            if !items.isEmpty { return items }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isReady = state.withLock { state in
                        if state.isEnded || !state.items.isEmpty { return true }
                        state.reader = continuation
                        return false
                    }
                    if isReady { continuation.resume() }
                }
            } onCancel: {
                end()
            }
        }
    }

    func put(_ item: Item) {
        let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.isEnded else { return nil }
            if case .event(let event) = item { state.bytes += event.json.count }
            if state.bytes > Self.capacity {
                state.isEnded = true
                state.items = []
            } else {
                state.items.append(item)
            }
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    func end() {
        let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.isEnded = true
            state.items = []
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    var isEnded: Bool { state.withLock { $0.isEnded } }
}
