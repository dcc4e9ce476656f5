import Logging

/// When the next connection may be opened, and what is said about a server that is away: once when it goes, once
/// when it is back.
struct Outage: Sendable {
    private var backoff = Backoff()
    private var since: Int64?
    private(set) var nextAttempt: Int64 = 0
    private(set) var lastError: PostgresError?

    var permitsAttempt: Bool { nextAttempt <= Monotonic.now() }

    mutating func opened(_ engine: Engine) {
        if since != nil { engine.logger.info("PostgreSQL answers again") }
        since = nil
        lastError = nil
    }

    /// An attempt failed.
    ///
    /// - Returns: Whether calls should no longer wait: no attempt can help, or the server has been away for as long as
    ///   they would.
    mutating func failed(_ error: PostgresError, _ engine: Engine) -> Bool {
        let now = Monotonic.now()
        lastError = error
        if since == nil {
            engine.logger.warning("PostgreSQL cannot be reached: \(error.message)")
            since = now
        } else {
            engine.logger.debug("PostgreSQL cannot be reached: \(error.message)")
        }
        // Attempts run side by side; only one of a round lengthens the pause.
        if nextAttempt <= now { nextAttempt = Monotonic.after(backoff.next()) }
        return error.isPermanent || now - (since ?? now) > engine.configuration.connectTimeout.nanoseconds
    }

    /// An open connection was lost. The next is opened at once, unless it had lived so shortly that this may repeat.
    mutating func lost(_ link: Link, _ error: PostgresError, _ engine: Engine) {
        engine.logger.debug("PostgreSQL connection lost: \(error.message)")
        let now = Monotonic.now()
        if link.age < Backoff.last.nanoseconds {
            lastError = error
            if nextAttempt <= now { nextAttempt = Monotonic.after(backoff.next()) }
        } else {
            backoff.reset()
            nextAttempt = 0
        }
    }
}

extension PostgresError {
    /// What a call is told that waited for a connection.
    static func noConnection(_ cause: PostgresError?) -> PostgresError {
        let reason = cause.map { ": \($0.message)" } ?? " in time"
        return PostgresError(.connection, "no connection to PostgreSQL\(reason)", sqlState: cause?.sqlState)
    }
}
