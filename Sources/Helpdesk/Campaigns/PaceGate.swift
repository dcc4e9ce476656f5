import Synchronization

/// Keeps this process's sends of a campaign apart where they have become late after their slots were given out: a database or a
/// processor that stood still makes no burst.
final class PaceGate: Sendable {
    static let shared = PaceGate()

    /// How much of what is late leaves at once.
    private static let tolerance = Duration.milliseconds(30)

    /// When the last one leaves, by campaign: beside a slow one on the same channel a fast one stays fast.
    private let last = Mutex<[Campaign.ID: ContinuousClock.Instant]>([:])

    /// - Returns: when a message of a slot leaves: in it, or `gap` after the one before.
    func pass(_ campaign: Campaign.ID, slot: ContinuousClock.Instant, gap: Duration) -> ContinuousClock.Instant {
        let now = ContinuousClock.now
        return last.withLock { last in
            if last.count >= 1000 { last = last.filter { $0.value > now } }
            let free = last[campaign].map { $0 + gap } ?? slot
            let leave = max(slot, free, now - Self.tolerance)
            last[campaign] = leave
            return leave
        }
    }
}
