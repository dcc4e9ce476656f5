import Synchronization

/// Keeps this process's sends on a channel apart where they have become late after their slots were given out: a database or a
/// processor that stood still makes no burst.
final class PaceGate: Sendable {
    static let shared = PaceGate()

    /// How much of what is late leaves at once.
    private static let tolerance = Duration.milliseconds(30)

    /// When the last one leaves, by channel.
    private let last = Mutex<[Channel.ID: ContinuousClock.Instant]>([:])

    /// - Returns: when a message of a slot leaves: in it, or `gap` after the one before.
    func pass(_ channel: Channel.ID, slot: ContinuousClock.Instant, gap: Duration) -> ContinuousClock.Instant {
        let now = ContinuousClock.now
        return last.withLock { last in
            if last.count >= 1000 { last = last.filter { $0.value > now } }
            let free = last[channel].map { $0 + gap } ?? slot
            let leave = max(slot, free, now - Self.tolerance)
            last[channel] = leave
            return leave
        }
    }
}
