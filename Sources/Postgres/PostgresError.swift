/// Why a statement, a transaction or a connection failed.
package struct PostgresError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Hashable {
        /// The server refused a statement; ``sqlState`` says why.
        case server
        /// There is no connection, or it was lost; whether a statement in flight took effect is then unknown.
        case connection
        /// The statement took longer than it may.
        case timeout
        /// The caller's task was cancelled.
        case cancelled
        /// A column is absent, NULL or of another type.
        case decoding
        /// Every pooled connection stayed busy.
        case poolExhausted
    }

    package let kind: Kind
    package let message: String
    /// The five characters of PostgreSQL's Appendix A, when the server (or libpq for it) sent them.
    package let sqlState: String?
    package let constraint: String?
    package let table: String?
    package let column: String?
    package let detail: String?

    package init(
        _ kind: Kind,
        _ message: String,
        sqlState: String? = nil,
        constraint: String? = nil,
        table: String? = nil,
        column: String? = nil,
        detail: String? = nil
    ) {
        self.kind = kind
        self.message = message
        self.sqlState = sqlState
        self.constraint = constraint
        self.table = table
        self.column = column
        self.detail = detail
    }

    /// The server is away, starting, shutting down or full, or no connection was free in time: trying later can help.
    package var isUnavailable: Bool {
        switch kind {
        case .poolExhausted: true
        case .connection: !isPermanent
        case .server: Self.unavailable.contains(sqlState ?? "") || (sqlState ?? "").hasPrefix("08")
        case .timeout, .cancelled, .decoding: false
        }
    }

    /// A serialization failure or a deadlock: the same transaction may succeed when run again from its start.
    package var isTransient: Bool { sqlState == "40001" || sqlState == "40P01" }

    /// A unique or exclusion constraint forbids the row; ``constraint`` names it.
    package var isConflict: Bool { sqlState == "23505" || sqlState == "23P01" }

    /// No attempt to connect can succeed before somebody changes the configuration: bad password, no such database,
    /// no privilege.
    var isPermanent: Bool {
        guard let sqlState else { return false }
        return sqlState.hasPrefix("28") || sqlState == "3D000" || sqlState == "42501"
    }

    /// The same facts under another kind: what the server calls a cancelled query may be our timeout.
    func with(kind: Kind) -> PostgresError {
        PostgresError(
            kind,
            message,
            sqlState: sqlState,
            constraint: constraint,
            table: table,
            column: column,
            detail: detail
        )
    }

    /// Admin shutdown, crash shutdown, cannot connect now, idle-session timeout, too many connections.
    private static let unavailable: Set<String> = ["57P01", "57P02", "57P03", "57P05", "53300"]

    package var description: String {
        var text = "PostgreSQL: \(message)"
        if let sqlState { text += " [\(sqlState)]" }
        if let constraint { text += " constraint \(constraint)" }
        return text
    }
}
