/// When a process that ended is started again, and when that would be no use.
///
/// The pause doubles with every failure in a row, up to `longest`; a process that ran for `steady` starts anew. It never
/// gives up on a crash: what crashed is as a rule one request or one job, and the others are owed an answer.
package struct RestartPolicy: Sendable, Equatable {
    package let first: Duration
    package let longest: Duration
    package let steady: Duration
    /// Failures in a row so far.
    package private(set) var failures = 0

    package init(
        first: Duration = .milliseconds(100),
        longest: Duration = .seconds(5),
        steady: Duration = .seconds(10)
    ) {
        self.first = first
        self.longest = longest
        self.steady = steady
    }

    package enum Decision: Sendable, Equatable {
        case restart(after: Duration)
        /// It ended on purpose: by itself, or because of a fault that starting again cannot mend.
        case end(status: Int32)
    }

    /// Statuses by which a host says that it must not be started again as it is: wrong usage (2, EX_USAGE), a faulty
    /// manifest (3), faulty settings (EX_CONFIG).
    package static let final: Set<Int32> = [0, 2, 3, 64, 78]

    /// Decides what follows an end that nobody asked for, after the process ran for `uptime`.
    package mutating func decide(_ status: ProcessEnd, uptime: Duration) -> Decision {
        if case .exited(let code) = status, Self.final.contains(code) { return .end(status: code) }
        failures = uptime >= steady ? 1 : failures + 1
        let doublings = min(failures - 1, 16)
        return .restart(after: min(first * (1 << doublings), longest))
    }
}
