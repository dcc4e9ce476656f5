import Foundation
package import Redis
import Synchronization

/// Waits for the markers of any number of queues on one connection, for consumers that have nothing to do.
///
/// A wait lasts two seconds at most; then everybody looks for themselves, so a lost marker costs no more. Who begins to wait
/// while a wait is under way has it begun anew, by a marker of the watch's own.
package final class MarkerWatch: Sendable {
    /// How long the wait for a marker may be.
    static let wait = Duration.seconds(2)

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
    private let own = "bull-watch:\(UUID().uuidString.lowercased())"

    /// - Parameters:
    ///   - redis: the client; the connection is made at the first wait.
    ///   - name: what dashboards find the connection by in CLIENT LIST.
    package init(redis: Redis, name: String = "workers") {
        self.redis = redis
        self.name = name
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
    package func run() async {
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
                        .string(own), .integer(Self.wait.components.seconds),
                    ],
                    deadline: .now + Self.wait + .seconds(3)
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
