import NIOCore

/// How long to wait before connecting again: 50 ms after the first failure, doubled by each further one, at most 1 s.
enum Backoff {
    static func delay(afterFailures failures: Int) -> TimeAmount {
        failures < 1 ? .zero : .milliseconds(min(1000, 50 << Int64(min(failures - 1, 10))))
    }
}

extension TimeAmount {
    /// The duration, held within a year so that adding it to a time cannot overflow.
    init(clamping duration: Duration) {
        let year: Duration = .seconds(365 * 86_400)
        let (seconds, attoseconds) = min(max(duration, .zero), year).components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
