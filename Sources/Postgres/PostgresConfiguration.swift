/// How to reach PostgreSQL, and how much of it to use.
package struct PostgresConfiguration: Sendable {
    /// A URI (`postgres://user:password@host:5432/database?sslmode=require`) or libpq's `key=value` form.
    package var url: String
    /// Connections that carry the short statements of every task at once.
    package var pipelinedConnections: Int
    /// Connections lent to one transaction at a time; opened when first needed.
    package var pooledConnections: Int
    /// Tasks that may wait for a pooled connection; one more fails at once.
    package var waitingLimit: Int
    /// Whether statements are prepared by name; off behind PgBouncer's transaction mode before 1.21.
    package var prepare: Bool
    /// For how long a call waits for a connection, and an attempt to connect may take.
    package var connectTimeout: Duration
    /// What the server grants a single statement (`statement_timeout`); zero is for ever.
    package var statementTimeout: Duration
    /// Shown in `pg_stat_activity`.
    package var applicationName: String

    package init(
        url: String,
        pipelinedConnections: Int = 2,
        pooledConnections: Int = 8,
        waitingLimit: Int = 1024,
        prepare: Bool = true,
        connectTimeout: Duration = .seconds(5),
        statementTimeout: Duration = .seconds(10),
        applicationName: String = "delightchat"
    ) {
        self.url = url
        self.pipelinedConnections = max(1, pipelinedConnections)
        self.pooledConnections = max(1, pooledConnections)
        self.waitingLimit = max(0, waitingLimit)
        self.prepare = prepare
        self.connectTimeout = connectTimeout
        self.statementTimeout = statementTimeout
        self.applicationName = applicationName
    }
}

/// What a ``Postgres`` has open and has done since it was made.
package struct PostgresStatistics: Sendable, Equatable {
    /// Pipelined connections that take calls now.
    package var pipelined = 0
    /// Calls sent on them and not yet answered.
    package var inFlight = 0
    /// Calls that wait for a pipelined connection.
    package var waitingForConnection = 0
    /// Pooled connections, those being opened included.
    package var pooled = 0
    /// Pooled connections that are lent out.
    package var busy = 0
    /// Tasks that wait for a pooled connection.
    package var waitingForPool = 0
    /// Round trips answered, failed ones included.
    package var calls = 0
    /// Round trips that failed.
    package var failures = 0
    /// Connections that were opened.
    package var connects = 0
    /// Connections that were lost, or given up after a timeout.
    package var losses = 0
}
