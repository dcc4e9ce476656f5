/// Where the host finds its servers.
package struct Addresses: Sendable, Equatable {
    /// The log-in that row-level security binds.
    package let database: String
    /// The owner, for migrations.
    package let databaseOwner: String
    package let redis: String
    package let isDatabaseOurs: Bool
    package let isRedisOurs: Bool
}

/// The host as a process.
package struct HostLaunch: Sendable {
    /// An absolute path.
    package var executable: String
    package var arguments: [String]
    /// The whole environment; the supervisor adds `RUNNER_SUPERVISOR_FD`.
    package var environment: [String: String]

    package init(executable: String, arguments: [String], environment: [String: String]) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
    }
}

/// What the fleet has done by others, because it knows neither the schema nor the host.
package struct UpSteps: Sendable {
    /// Asks the question on the terminal; `nil` when there is none to ask on.
    package var confirm: @Sendable (_ question: String) -> Bool?
    /// What is wrong with a Redis that was given: each a sentence, none when it is as durable as the private one.
    package var inspectRedis: @Sendable (_ url: String) async -> [String]
    /// Brings the schema up to date; returns lines to show.
    package var migrate: @Sendable (Addresses) async throws -> [String]
    /// Puts in demo data where there is none; returns lines to show, such as the log-in.
    package var seed: @Sendable (Addresses) async throws -> [String]
    /// The host's command line and environment.
    package var host: @Sendable (Addresses) throws -> HostLaunch
    /// What the dead host was doing, from the file that it kept: `assign-ticket (request 7f3a…, 12 ms)`.
    package var inFlight: @Sendable () -> [String]
    /// Lines to show once the servers run where nothing is hosted; other commands find them from then on.
    package var engines: @Sendable (Addresses) throws -> [String]
    /// Lines to show once the host serves, such as its addresses.
    package var banner: @Sendable (Addresses) -> [String]

    package init(
        confirm: @escaping @Sendable (String) -> Bool?,
        inspectRedis: @escaping @Sendable (String) async -> [String],
        migrate: @escaping @Sendable (Addresses) async throws -> [String],
        seed: @escaping @Sendable (Addresses) async throws -> [String],
        host: @escaping @Sendable (Addresses) throws -> HostLaunch,
        inFlight: @escaping @Sendable () -> [String],
        engines: @escaping @Sendable (Addresses) throws -> [String] = { _ in [] },
        banner: @escaping @Sendable (Addresses) -> [String]
    ) {
        self.confirm = confirm
        self.inspectRedis = inspectRedis
        self.migrate = migrate
        self.seed = seed
        self.host = host
        self.inFlight = inFlight
        self.engines = engines
        self.banner = banner
    }
}
