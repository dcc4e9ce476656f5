import NIOCore

/// Whether it is worth the time to connect to an upstream.
///
/// Open after ``threshold`` failed connections in a row, the first of them ``patience`` ago: a restart that takes less is
/// waited for. Then one attempt is let through at a time, ``pause`` after the one before; the first that succeeds closes it.
struct Circuit: Sendable, Equatable {
    static let threshold = 5
    static let pause = TimeAmount.seconds(1)

    let patience: TimeAmount
    private var failures = 0
    private var firstFailure = NIODeadline.distantPast
    /// When the next attempt may be made; `nil` while it's closed.
    private var nextAttempt: NIODeadline?

    init(patience: TimeAmount) {
        self.patience = patience
    }

    var isOpen: Bool { nextAttempt != nil }

    /// Whether an attempt may be made; of an open circuit the caller then makes it.
    mutating func admits(at now: NIODeadline) -> Bool {
        guard let next = nextAttempt else { return true }
        guard now >= next else { return false }
        nextAttempt = now + Self.pause
        return true
    }

    mutating func succeeded() {
        (failures, nextAttempt) = (0, nil)
    }

    mutating func failed(at now: NIODeadline) {
        if failures == 0 { firstFailure = now }
        failures += 1
        guard failures >= Self.threshold, now - firstFailure >= patience else { return }
        nextAttempt = now + Self.pause
    }
}
