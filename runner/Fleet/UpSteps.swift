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

/// A host as a process: the only one, or one of several; or the gateway before them.
package struct HostLaunch: Sendable {
    /// The name of the only one.
    package static let only = "host"
    /// The name of the one that hands requests on to the others.
    package static let gateway = "gateway"

    package var name: String
    /// An absolute path.
    package var executable: String
    package var arguments: [String]
    /// The whole environment; the supervisor adds `RUNNER_SUPERVISOR_FD`, `RUNNER_LISTEN_FD` and `RUNNER_INFLIGHT`.
    package var environment: [String: String]
    /// The unix socket on which it serves; `nil` is the port.
    package var socket: String?

    package init(
        name: String = HostLaunch.only,
        executable: String,
        arguments: [String],
        environment: [String: String],
        socket: String? = nil
    ) {
        self.name = name
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.socket = socket
    }
}

/// The programs that a reload runs one after another; the exit status 0 says that the next may.
package struct ReloadTools: Sendable {
    /// The program that the host runs at first, an absolute path.
    package var executable: String
    /// The program that a build makes, an absolute path.
    package var product: String
    /// Makes the product.
    package var build: @Sendable () throws -> Launch
    /// Finds the faults of functions.yaml; may be asked of every product.
    package var check: @Sendable (_ executable: String) -> Launch
    /// Brings the schema up to date; what it writes is shown.
    package var migrate: @Sendable (_ executable: String, Addresses) -> Launch

    package init(
        executable: String,
        product: String,
        build: @escaping @Sendable () throws -> Launch,
        check: @escaping @Sendable (String) -> Launch,
        migrate: @escaping @Sendable (String, Addresses) -> Launch
    ) {
        self.executable = executable
        self.product = product
        self.build = build
        self.check = check
        self.migrate = migrate
    }
}

/// What the fleet has done by others, because it knows neither the schema nor the host.
package struct UpSteps: Sendable {
    /// Asks the question on the terminal; `nil` when there is none to ask on.
    package var confirm: @Sendable (_ question: String) -> Bool?
    package var reload: ReloadTools
    /// What is wrong with a Redis that was given: each a sentence, none when it is as durable as the private one.
    package var inspectRedis: @Sendable (_ url: String) async -> [String]
    /// Brings the schema up to date; returns lines to show.
    package var migrate: @Sendable (Addresses) async throws -> [String]
    /// Puts in demo data where there is none; returns lines to show, such as the log-in.
    package var seed: @Sendable (Addresses) async throws -> [String]
    /// The hosts' command lines and environments, in the order in which they follow their predecessors.
    package var hosts: @Sendable (Addresses, Generation) throws -> [HostLaunch]
    /// What a dead host was doing, from the file that it kept: `assign-ticket (request 7f3a…, 12 ms)`.
    package var inFlight: @Sendable (_ path: String) -> [String]
    /// Lines to show once the servers run where nothing is hosted; other commands find them from then on.
    package var engines: @Sendable (Addresses) throws -> [String]
    /// Lines to show once the host serves, such as its addresses.
    package var banner: @Sendable (Addresses) -> [String]

    package init(
        confirm: @escaping @Sendable (String) -> Bool?,
        reload: ReloadTools,
        inspectRedis: @escaping @Sendable (String) async -> [String],
        migrate: @escaping @Sendable (Addresses) async throws -> [String],
        seed: @escaping @Sendable (Addresses) async throws -> [String],
        hosts: @escaping @Sendable (Addresses, Generation) throws -> [HostLaunch],
        inFlight: @escaping @Sendable (_ path: String) -> [String],
        engines: @escaping @Sendable (Addresses) throws -> [String] = { _ in [] },
        banner: @escaping @Sendable (Addresses) -> [String]
    ) {
        self.confirm = confirm
        self.reload = reload
        self.inspectRedis = inspectRedis
        self.migrate = migrate
        self.seed = seed
        self.hosts = hosts
        self.inFlight = inFlight
        self.engines = engines
        self.banner = banner
    }
}
