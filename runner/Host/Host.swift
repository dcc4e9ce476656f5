import Foundation
package import Functions
package import Logging
package import Manifest
import NIOCore
import Postgres
import Queue
import Redis
import ServiceLifecycle
import Synchronization
import UnixSignals

/// What one process hosts, and where it listens.
package struct HostOptions: Sendable {
    /// Which functions of the manifest run here.
    package enum Selection: Sendable {
        case all
        case groups(Set<String>)
        case functions(Set<String>)
    }

    /// Where requests come in.
    package enum Place: Sendable {
        case address(String, port: Int)
        /// A unix socket that is made there.
        case path(String)
        /// A bound socket of whoever started this process, who lets one process after another accept on it.
        case socket(Int32, Succession)
    }

    /// How many connections may wait to be accepted.
    package static let backlog: Int32 = 1024

    package var selection = Selection.all
    package var place = Place.address("127.0.0.1", port: 3000)
    /// Whether all requests come through a gateway, which is given time to leave its connections when the process ends.
    package var isBehindGateway = false
    /// The queues of the manifest, the most urgent first.
    package var queues: [DeclaredQueue] = []
    /// A file in which the process notes what it is at work on, for the supervisor to name after a crash.
    package var inFlightPath: String?
    /// The product's, for its description.
    package var version = ""
    /// Where Swagger UI's files are, if they are.
    package var explorerFolder: String?
    /// How long jobs belong to a process that has died, and how often those of dead ones are looked for: within 20 s they run
    /// again.
    package var lockDuration = Duration.seconds(10)
    package var stalledInterval = Duration.seconds(5)
    /// In a container requests come through proxies, and one of them may be on this machine: it isn't the operator.
    package var isContained = false
    /// Called once the process accepts requests.
    package var onReady: @Sendable (_ port: Int) async -> Void = { _ in }

    package init() {}
}

/// Hosts the functions of a manifest in this process until it is asked to end.
package struct Host: Sendable {
    let pairs: [RegistryCheck.Pair]
    /// Those that other processes host too: the description is of the whole product.
    let allPairs: [RegistryCheck.Pair]
    /// The names of all schedules, hosted here or not.
    private let schedules: Set<String>
    let services: Services
    let options: HostOptions
    let logger: Logger
    private let callers: CallerAddress

    /// - Parameters:
    ///   - pairs: every function of the manifest with its type; ``HostOptions/selection`` chooses among them.
    ///   - services: what the functions share; closed when the host ends.
    ///   - options: what to host, and where to listen.
    ///   - logger: for everything that the host says.
    /// - Throws: ``AddressFault`` when TRUSTED_PROXIES can't be read.
    package init(
        _ pairs: [RegistryCheck.Pair],
        services: Services,
        options: HostOptions,
        logger: Logger
    ) throws(AddressFault) {
        callers = try CallerAddress(proxies: services.settings["TRUSTED_PROXIES"])
        allPairs = pairs
        schedules = Set(pairs.filter { $0.declaration.trigger.kind == .schedule }.map(\.declaration.name))
        self.pairs = pairs.filter { options.selection.includes($0.declaration) }
        self.services = services
        self.options = options
        self.logger = logger
    }

    /// Serves until SIGTERM or SIGINT; then takes no more work, finishes what is running, and returns.
    package func run() async throws {
        let metrics = Metrics()
        let deadlines = Deadlines()
        let inFlight = InFlight(path: options.inFlightPath)
        let draining = DrainSwitch()
        let watch = MarkerWatch(redis: services.redis)
        var parts: [any Service] = [
            ClientService(services: services), DeadlineService(deadlines: deadlines), WatchService(watch: watch),
        ]
        let lanes = lanes
        for pair in pairs {
            guard case .queue(let worker) = pair.hosted, case .queue(let trigger) = pair.declaration.trigger else {
                continue
            }
            parts.append(
                WorkerService(
                    declaration: pair.declaration,
                    trigger: trigger,
                    worker: worker,
                    services: services,
                    watch: watch,
                    lockDuration: options.lockDuration,
                    stalledInterval: options.stalledInterval,
                    lane: options.queues.firstIndex { $0.name == trigger.queue }.flatMap { lanes?[$0] },
                    metrics: metrics,
                    inFlight: inFlight,
                    deadlines: deadlines,
                    logger: logger
                )
            )
        }
        let scheduled = pairs.compactMap { pair -> ScheduleService.Scheduled? in
            guard case .schedule(let run) = pair.hosted, case .schedule(let trigger) = pair.declaration.trigger else {
                return nil
            }
            return ScheduleService.Scheduled(declaration: pair.declaration, trigger: trigger, run: run)
        }
        if !scheduled.isEmpty {
            parts.append(
                ScheduleService(
                    functions: scheduled,
                    known: schedules,
                    services: services,
                    watch: watch,
                    metrics: metrics,
                    inFlight: inFlight,
                    deadlines: deadlines,
                    logger: logger
                )
            )
        }
        let operations = operations(metrics, draining)
        // On a socket that was handed down another process may serve as well, and a port of its own is one process's.
        if case .address = options.place, let port = services.settings["METRICS_PORT"].flatMap({ Int($0) }) {
            parts.append(
                HTTPServer(
                    responder: MetricsResponder(operations: operations),
                    place: .address("127.0.0.1", port: port),
                    onRunning: { _ in },
                    logger: quiet
                )
            )
        }
        parts.append(server(operations, metrics, deadlines, inFlight, draining))
        parts.append(draining)
        let group = ServiceGroup(
            configuration: .init(
                // Unless told, a service's name is all that is in it: slow to write, and no log is a place for secrets.
                services: parts.map { .init(service: $0, serviceName: "\(type(of: $0))") },
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: quiet
            )
        )
        if case .socket(_, let succession) = options.place {
            succession.whenOver { Task { await group.triggerGracefulShutdown() } }
        }
        try await group.run()
    }

    /// The queues of the workers here; where schedules run, all: there is always a process for those, while the workers of
    /// a queue may have been scaled down to none.
    private var queuesToTell: [(function: String, queue: String)] {
        let hasSchedules = pairs.contains { $0.declaration.trigger.kind == .schedule }
        return (hasSchedules ? allPairs : pairs).compactMap { pair in
            guard case .queue(let trigger) = pair.declaration.trigger else { return nil }
            return (pair.declaration.name, trigger.queue)
        }
    }

    /// What the queues' workers share, by their order in functions.yaml.
    private var lanes: Lanes? {
        guard !options.queues.isEmpty, let slots = services.settings["WORKER_SLOTS"].flatMap({ Int($0) }) else {
            return nil
        }
        return Lanes(total: slots, reserves: options.queues.map(\.reserve))
    }

    private func operations(_ metrics: Metrics, _ draining: DrainSwitch) -> Operations {
        let (allPairs, version) = (allPairs, options.version)
        return Operations(
            services: services,
            metrics: metrics,
            queues: queuesToTell,
            isDraining: { draining.isOn },
            document: ServedDocument { OpenAPIDocument(allPairs, version: version) },
            explorer: Explorer(folder: options.explorerFolder),
            needsToken: options.isContained
        )
    }

    private func server(
        _ operations: Operations,
        _ metrics: Metrics,
        _ deadlines: Deadlines,
        _ inFlight: InFlight,
        _ draining: DrainSwitch
    ) -> HTTPServer {
        let routes = pairs.compactMap { pair -> Responder.Route? in
            guard case .http(let endpoint) = pair.hosted, case .http(let trigger) = pair.declaration.trigger else {
                return nil
            }
            let ids = trigger.path.segments.compactMap { segment -> String? in
                if case .parameter(let name, .uuid) = segment { name } else { nil }
            }
            return Responder.Route(
                declaration: pair.declaration,
                endpoint: endpoint,
                uses: Set(pair.declaration.uses),
                ids: ids,
                limit: pair.declaration.concurrency.map(ConcurrencyLimit.init)
            )
        }
        let isDraining: @Sendable () -> Bool = { draining.isOn }
        let responder = Responder(
            table: RouteTable(routes.map(\.declaration)),
            routes: routes,
            services: services,
            operations: operations,
            callers: callers,
            crossOrigin: CrossOrigin(origins: services.settings["CORS_ORIGINS"]),
            metrics: metrics,
            deadlines: deadlines,
            inFlight: inFlight,
            logger: logger,
            isDraining: isDraining
        )
        let onReady = options.onReady
        return HTTPServer(
            responder: responder,
            place: options.place,
            isBehindGateway: options.isBehindGateway,
            onRunning: { channel in await onReady(channel.localAddress?.port ?? 0) },
            logger: quiet
        )
    }

    /// The libraries' own lines are about themselves; ours say what matters.
    private var quiet: Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return quiet
    }
}

extension HostOptions.Selection {
    package func includes(_ declaration: FunctionDeclaration) -> Bool {
        switch self {
        case .all: true
        case .groups(let names): names.contains(declaration.group)
        case .functions(let names): names.contains(declaration.name)
        }
    }
}

/// Closes the clients when everything that uses them has ended.
private struct ClientService: Service {
    let services: Services

    func run() async throws {
        try? await gracefulShutdown()  // cancelled or asked to end: both close
        await services.postgres.shutdown()
        await services.redis.shutdown()
    }
}

private struct DeadlineService: Service {
    let deadlines: Deadlines

    func run() async throws {
        await cancelWhenGracefulShutdown { await deadlines.sweep() }
    }
}

/// Waits for work of all queues on one connection.
private struct WatchService: Service {
    let watch: MarkerWatch

    func run() async throws {
        await cancelWhenGracefulShutdown { await watch.run() }
    }
}

/// Tells the rest of the process that it is ending; first to hear of it, as the last of the services.
private final class DrainSwitch: Service {
    private let state = Atomic(false)

    var isOn: Bool { state.load(ordering: .relaxed) }

    func run() async throws {
        try? await gracefulShutdown()  // cancelled or asked to end: both drain
        state.store(true, ordering: .relaxed)
    }
}
