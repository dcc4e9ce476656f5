import CPostgres
import Logging
import Synchronization

/// What every part of one client shares.
final class Engine: Sendable {
    let configuration: PostgresConfiguration
    let logger: Logger
    let poller: Poller
    let calls = Atomic<Int>(0)
    let failures = Atomic<Int>(0)
    let connects = Atomic<Int>(0)
    let losses = Atomic<Int>(0)

    /// How much longer than the server's own limit a client waits, so that the server's error comes first.
    static let grace: Duration = .seconds(1)
    /// Statements a connection keeps prepared.
    static let statementLimit = 500

    init(configuration: PostgresConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        self.poller = Poller()
    }

    /// When a call that starts now is given up: after its own limit, else a little after the server's.
    func deadline(_ timeout: Duration?) -> Int64 {
        if let timeout { return Monotonic.after(timeout) }
        let limit = configuration.statementTimeout
        return limit == .zero ? Monotonic.never : Monotonic.after(limit + Self.grace)
    }

    /// What a connection is told before anything else: one style of text for every value, and its limit.
    var sessionStatement: SQL {
        let milliseconds = String(configuration.statementTimeout.milliseconds)
        return """
            SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false), \
            set_config('IntervalStyle', 'iso_8601', false), set_config('bytea_output', 'hex', false), \
            set_config('extra_float_digits', '1', false), set_config('statement_timeout', \(milliseconds), false)
            """
    }

    func count(_ answer: Call.Answer) {
        calls.add(1, ordering: .relaxed)
        if case .failure = answer { failures.add(1, ordering: .relaxed) }
    }
}
