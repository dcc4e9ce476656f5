import Host
import Logging
import Manifest
import NIOCore

/// What all connections of the gateway share.
final class GatewayCore: Sendable {
    let routing: Routing
    let upstreams: [Upstream]
    let callers: CallerAddress
    let crossOrigin: CrossOrigin
    let metrics: Metrics
    let metricsToken: String?
    let logger: Logger
    let isDraining: @Sendable () -> Bool
    /// How much longer than a function may take its answer is waited for: the host's own word on it should come first.
    let grace: TimeAmount

    init(
        _ functions: [FunctionDeclaration],
        options: GatewayOptions,
        logger: Logger,
        isDraining: @escaping @Sendable () -> Bool
    ) throws {
        let patience = TimeAmount(options.patience)
        routing = try Routing(functions, upstreams: options.upstreams.map(\.name))
        upstreams = options.upstreams.map { Upstream(name: $0.name, address: $0.address, patience: patience) }
        callers = try CallerAddress(proxies: options.trustedProxies)
        crossOrigin = CrossOrigin(origins: options.corsOrigins)
        metrics = Metrics()
        metricsToken = options.metricsToken
        self.logger = logger
        self.isDraining = isDraining
        grace = TimeAmount(options.grace)
    }
}

/// The part of the gateway that lives on one event loop: its connections to upstreams, and who waits for them.
///
/// Unchecked: used on that event loop alone.
final class GatewayLoop: @unchecked Sendable {
    static let resolution = TimeAmount.milliseconds(100)

    let core: GatewayCore
    let loop: any EventLoop
    let pools: [UpstreamPool]
    private var users: [ObjectIdentifier: any UpstreamUser] = [:]
    /// Connections of callers that have had their last answer, and until when they may take it.
    private var lingering: [ObjectIdentifier: (channel: any Channel, end: NIODeadline)] = [:]

    init(_ core: GatewayCore, loop: any EventLoop) {
        self.core = core
        self.loop = loop
        pools = core.upstreams.map { UpstreamPool($0, loop: loop) }
    }

    func add(_ user: any UpstreamUser) { users[ObjectIdentifier(user)] = user }
    func remove(_ user: any UpstreamUser) { users[ObjectIdentifier(user)] = nil }

    func linger(_ channel: any Channel) {
        guard channel.isActive else { return }
        lingering[ObjectIdentifier(channel)] = (channel, NIODeadline.now() + .seconds(2))
    }

    func gone(_ channel: any Channel) { lingering[ObjectIdentifier(channel)] = nil }

    func end() {
        for pool in pools { pool.end() }
    }

    /// Ends what is overdue, and closes connections that nobody has used for a while.
    func sweep() {
        let now = NIODeadline.now()
        for user in users.values.filter({ ($0.due ?? .distantFuture) <= now }) { user.expire() }
        for pool in pools { pool.sweep() }
        for (channel, _) in lingering.values.filter({ $0.end <= now }) { channel.close(promise: nil) }
    }
}
