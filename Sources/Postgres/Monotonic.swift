#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Points of the monotonic clock in nanoseconds: plain integers, because they are compared in atomics.
enum Monotonic {
    static let never = Int64.max

    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// The point that far from now; ``never`` where it would not fit.
    static func after(_ duration: Duration) -> Int64 {
        let (sum, overflowed) = now().addingReportingOverflow(duration.nanoseconds)
        return overflowed ? never : sum
    }
}

extension Duration {
    /// Saturates at both ends.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflowed) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflowed else { return seconds < 0 ? .min : .max }
        let (sum, overflowedToo) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflowedToo ? .max : sum
    }

    var milliseconds: Int64 { nanoseconds / 1_000_000 }
}

/// The pause before the next attempt to connect: 50 ms, doubled up to 1 s, each shortened by up to a quarter at random
/// so that the processes of a fleet do not return in step.
struct Backoff {
    static let first: Duration = .milliseconds(50)
    static let last: Duration = .seconds(1)

    private var pause = first

    mutating func next() -> Duration {
        let present = pause
        pause = min(pause * 2, Self.last)
        return present * Double.random(in: 0.75...1)
    }

    mutating func reset() {
        pause = Self.first
    }
}
