/// Why a command has no answer.
///
/// A command that failed with ``Kind-swift.enum/connection`` or ``Kind-swift.enum/timeout`` may have run: it is never
/// sent a second time by this module, so whoever tries again decides whether running twice is harmless.
package struct RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable {
        /// No connection could be had, or it was lost before the answer came.
        case connection
        /// The caller's deadline passed first.
        case timeout
        /// Redis answered with an error; ``RedisError/message`` is its text.
        case server
        /// The calling task was cancelled.
        case cancelled
        /// The address or a setting makes no sense.
        case configuration
    }

    package let kind: Kind
    /// For ``Kind-swift.enum/server`` exactly what Redis said; otherwise a sentence. Never holds a password.
    package let message: String

    package init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }

    /// The first word of Redis' error, such as `WRONGTYPE` or `NOSCRIPT`; `nil` when Redis did not answer.
    package var code: String? {
        guard kind == .server else { return nil }
        return String(message.prefix { $0 != " " })
    }

    /// True when Redis is away, starting, or refuses everybody for the moment: trying again later may help and the
    /// command itself is not to blame.
    package var isUnavailable: Bool {
        switch kind {
        case .connection, .timeout: true
        case .cancelled, .configuration: false
        case .server: Self.passingCodes.contains(code ?? "")
        }
    }

    /// Errors of the server's condition rather than of the command (Redis 7.0, `shared.*err` in server.c).
    private static let passingCodes: Set<String> = [
        "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "MISCONF", "NOREPLICAS", "OOM",
    ]

    package var description: String { "redis: \(message)" }
}

extension RedisError {
    static func connection(_ message: String) -> RedisError { RedisError(kind: .connection, message: message) }
    static func timeout(_ message: String) -> RedisError { RedisError(kind: .timeout, message: message) }
    static func server(_ message: String) -> RedisError { RedisError(kind: .server, message: message) }
    static func configuration(_ message: String) -> RedisError { RedisError(kind: .configuration, message: message) }
    static let cancelled = RedisError(kind: .cancelled, message: "the calling task was cancelled")
}
