import Foundation
package import Redis
import Synchronization

/// Waits for the markers of any number of queues, for consumers that have nothing to do: on one connection, and on a cluster,
/// where keys have hash tags and one command may name those of one slot only, on one for each tag.
package final class MarkerWatch: Sendable {
    /// How long the wait for a marker may be.
    static let wait = Duration.seconds(2)

    private struct State {
        var slots: [Substring: SlotWatch] = [:]
        /// Those whose wait nobody has begun yet.
        var new: [SlotWatch] = []
    }

    private let redis: Redis
    private let name: String
    private let state = Mutex(State())
    private let changed = Signal()

    /// - Parameters:
    ///   - redis: the client; connections are made at the first wait.
    ///   - name: what dashboards find the connections by in CLIENT LIST.
    package init(redis: Redis, name: String = "workers") {
        self.redis = redis
        self.name = name
    }

    /// Has `wake` called once, when the marker is there or two seconds have passed.
    func await(_ marker: String, isWanted: @escaping @Sendable () -> Bool, wake: @escaping @Sendable () -> Void) async {
        let tag = Self.tag(of: marker)
        let (slot, isNew) = state.withLock { state in
            if let slot = state.slots[tag] { return (slot, false) }
            let slot = SlotWatch(redis: redis, name: name, tag: tag)
            state.slots[tag] = slot
            state.new.append(slot)
            return (slot, true)
        }
        if isNew { changed.raise() }
        await slot.await(marker, isWanted: isWanted, wake: wake)
    }

    /// Forgets whoever waits for a marker.
    func leave(_ marker: String) {
        state.withLock { $0.slots[Self.tag(of: marker)] }?.leave(marker)
    }

    /// Works until the task is cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let new = state.withLock { state in
                    defer { state.new = [] }
                    return state.new
                }
                for slot in new { group.addTask { await slot.run() } }
                await changed.wait()
            }
        }
    }

    /// What a cluster finds a key's slot by, where braces hold it; empty where none do.
    static func tag(of key: String) -> Substring {
        guard let open = key.firstIndex(of: "{"), let close = key[open...].firstIndex(of: "}") else { return "" }
        return key[key.index(after: open)..<close]
    }
}

/// Waits for the markers of one slot on one connection.
///
/// A wait lasts two seconds at most; then everybody looks for themselves, so a lost marker costs no more. Who begins to wait
/// while a wait is under way has it begun anew, by a marker of the watch's own.
private final class SlotWatch: Sendable {
    private struct Waiter {
        let wake: @Sendable () -> Void
        /// Whether there is room for a job now; a marker that was popped otherwise is another worker's.
        let isWanted: @Sendable () -> Bool
    }

    private struct State {
        var waiters: [String: Waiter] = [:]
        /// The markers that Redis is asked about now; `nil` between two waits.
        var asked: Set<String>?
    }

    private let redis: Redis
    private let name: String
    private let state = Mutex(State())
    private let changed = Signal()
    private let own: String

    init(redis: Redis, name: String, tag: Substring) {
        self.redis = redis
        self.name = name
        own = "bull-watch:" + (tag.isEmpty ? "" : "{\(tag)}:") + UUID().uuidString.lowercased()
    }

    /// Has `wake` called once, when the marker is there or two seconds have passed.
    func await(_ marker: String, isWanted: @escaping @Sendable () -> Bool, wake: @escaping @Sendable () -> Void) async {
        let isLate = state.withLock { state in
            state.waiters[marker] = Waiter(wake: wake, isWanted: isWanted)
            return state.asked.map { !$0.contains(marker) } ?? false
        }
        changed.raise()
        guard isLate else { return }
        // If this fails, the wait is over soon by itself.
        _ = await redis.pipeline([["ZADD", .string(own), 0, "0"], ["PEXPIRE", .string(own), 10_000]])
    }

    /// Forgets whoever waits for a marker.
    func leave(_ marker: String) {
        state.withLock { $0.waiters[marker] = nil }
    }

    /// Works until the task is cancelled.
    func run() async {
        let connection = redis.blocking(name: name)
        defer { connection.close() }
        while !Task.isCancelled {
            let markers = state.withLock { state in
                let markers = state.waiters.keys.sorted()
                state.asked = markers.isEmpty ? nil : Set(markers)
                return markers
            }
            guard !markers.isEmpty else {
                await changed.wait()
                continue
            }
            do throws(RedisError) {
                let answer = try await connection.command(
                    ["BZPOPMIN"] + markers.map { .string($0) } + [
                        .string(own), .integer(MarkerWatch.wait.components.seconds),
                    ],
                    deadline: .now + MarkerWatch.wait + .seconds(3)
                )
                await passOn(answer)
            } catch {
                guard error.kind != .cancelled else { return }
                // Cancelled when the watch ends; the loop looks at that itself.
                try? await Task.sleep(for: .milliseconds(500))
                wakeAll()
            }
        }
    }

    private func passOn(_ answer: RESPValue) async {
        guard let marker = answer.array?.first?.text else { return wakeAll() }
        let waiter = state.withLock { state in
            state.asked = nil
            return state.waiters.removeValue(forKey: marker)
        }
        guard marker != own else { return }
        if let waiter, waiter.isWanted() { return waiter.wake() }
        // If this fails, the others look by themselves within seconds.
        _ = try? await redis.command(["ZADD", .string(marker), 0, "0"])
    }

    private func wakeAll() {
        let waiters = state.withLock { state in
            state.asked = nil
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.wake() }
    }
}
