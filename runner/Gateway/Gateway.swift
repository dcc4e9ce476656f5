import Foundation
package import Host
package import Logging
package import Manifest
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Synchronization
import UnixSignals

/// What the gateway routes to, and where it listens.
package struct GatewayOptions: Sendable {
    /// By the name of a group or a function; a function's own is preferred to its group's.
    package var upstreams: [(name: String, address: UpstreamAddress)] = []
    package var place = HostOptions.Place.address("127.0.0.1", port: 3000)
    /// How long an upstream that isn't there is waited for.
    package var patience = Duration.seconds(5)
    /// How much longer than functions.yaml lets a function take its answer is waited for.
    package var grace = Duration.seconds(2)
    package var trustedProxies: String?
    package var corsOrigins: String?
    package var metricsToken: String?
    /// Called once requests are accepted.
    package var onReady: @Sendable (_ port: Int) async -> Void = { _ in }

    package init() {}
}

/// Hands requests on to the processes that host their functions, by functions.yaml.
package struct Gateway: Sendable {
    private let core: GatewayCore
    private let options: GatewayOptions
    private let draining: Draining
    private let logger: Logger

    /// - Parameters:
    ///   - functions: all of the manifest.
    ///   - options: what to route to, and where to listen.
    ///   - logger: for what the gateway itself answers, and what upstreams fail to.
    /// - Throws: ``GatewayFault`` where a function has no upstream, ``AddressFault`` when the trusted proxies can't be read.
    package init(_ functions: [FunctionDeclaration], options: GatewayOptions, logger: Logger) throws {
        let draining = Draining()
        core = try GatewayCore(functions, options: options, logger: logger, isDraining: { draining.isOn })
        self.options = options
        self.draining = draining
        self.logger = logger
    }

    /// Serves until SIGTERM or SIGINT.
    package func runUntilSignal() async throws {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: GatewayService(gateway: self), serviceName: "gateway")],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: quiet
            )
        )
        if case .socket(_, let succession) = options.place {
            succession.whenOver { Task { await group.triggerGracefulShutdown() } }
        }
        try await group.run()
    }

    /// Serves until the end is asked for, and returns when the last connection is closed.
    package func run() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let loops = group.makeIterator().map { GatewayLoop(core, loop: $0) }
        let parts = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.loop), $0) })
        let sweeps = parts.values.map { part in
            part.loop.scheduleRepeatedTask(initialDelay: GatewayLoop.resolution, delay: GatewayLoop.resolution) { _ in
                part.sweep()
            }
        }
        defer {
            for sweep in sweeps { sweep.cancel() }
            for part in parts.values { part.loop.execute { part.end() } }
        }
        let connections = OpenConnections()
        let server = try await bind(parts: parts, connections)
        let (draining, place) = (draining, options.place)
        await withGracefulShutdownHandler {
            await options.onReady(server.localAddress?.port ?? 0)
            // Cancelled: everything is closed at once.
            try? await withTaskCancellationHandler {
                try await server.closeFuture.get()
            } onCancel: {
                server.close(promise: nil)
            }
            await connections.empty()
        } onGracefulShutdown: {
            draining.begin()
            Task { await connections.drain(server, at: place) }
        }
    }

    private func bind(
        parts: [ObjectIdentifier: GatewayLoop],
        _ connections: OpenConnections
    ) async throws -> any Channel {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: HostOptions.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptedConnections(connections))
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // There is a part for every loop of the group.
                    guard let part = parts[ObjectIdentifier(channel.eventLoop)] else { return }
                    var configuration = HTTPResponseEncoder.Configuration()
                    configuration.automaticallySetFramingHeaders = false
                    try channel.pipeline.syncOperations.addHandlers(
                        HTTPResponseEncoder(configuration: configuration),
                        ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)),
                        CallerConnection(part)
                    )
                    connections.open(channel)
                }
            }
        switch options.place {
        case .address(let host, let port): return try await bootstrap.bind(host: host, port: port).get()
        case .path(let path):
            return try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        case .socket(let descriptor, let succession):
            let server = try await bootstrap.serverChannelOption(.autoRead, value: false)
                .withBoundSocket(descriptor).get()
            // NIO has listened with a backlog of its own before it read the option.
            listen(descriptor, HostOptions.backlog)
            succession.accept(server)
            return server
        }
    }
}

private struct GatewayService: Service {
    let gateway: Gateway

    func run() async throws { try await gateway.run() }
}

private final class Draining: Sendable {
    private let state = Atomic(false)

    var isOn: Bool { state.load(ordering: .relaxed) }
    func begin() { state.store(true, ordering: .relaxed) }
}

extension GatewayCore {
    /// Whether each upstream can be reached, as far as is known.
    var gauges: [Gauge] {
        upstreams.map { upstream in
            Gauge(
                name: "delightchat_gateway_circuit_open",
                help: "1 while an upstream can't be reached.",
                labels: [("upstream", upstream.name)],
                value: upstream.isOpen ? 1 : 0
            )
        }
    }
}
