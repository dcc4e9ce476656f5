import NIOCore
import NIOHTTP1
import NIOPosix

/// The connections of one event loop to one upstream.
///
/// Requests and their upstream connections live on the same event loop, so nothing here takes a lock or changes threads. A
/// connection is kept for half the time that an upstream which ends still serves the last requests of its own, so none is
/// used that it may be closing.
///
/// Unchecked: used on that event loop alone.
final class UpstreamPool: @unchecked Sendable {
    static let idleLimit = TimeAmount.milliseconds(500)
    /// Between two attempts to reach an upstream that is away.
    private static let pause = TimeAmount.milliseconds(25)

    let upstream: Upstream
    private let loop: any EventLoop
    /// The one that was used last is at the end, and is taken first.
    private var idle: [UpstreamConnection] = []
    private var waiting = CircularBuffer<any UpstreamUser>()
    /// The last attempt has failed: whoever comes waits for the next.
    private var isFailing = false
    private var isRetryPlanned = false

    init(_ upstream: Upstream, loop: any EventLoop) {
        self.upstream = upstream
        self.loop = loop
    }

    /// Has `user` told of a connection of its own, at once where one is idle.
    ///
    /// An upstream that isn't there is waited for until its circuit opens.
    func acquire(_ user: any UpstreamUser) {
        guard !user.isOver else { return }
        while let connection = idle.popLast() {
            if connection.isActive, NIODeadline.now() - connection.idleSince < Self.idleLimit {
                give(connection, to: user)
                return
            }
            connection.close()
        }
        if isFailing, !upstream.isOpen {
            waiting.append(user)
        } else if upstream.admits(at: .now()) {
            connect(for: user)
        } else {
            user.unreachable()
        }
    }

    /// Takes back a connection whose answer is complete.
    func release(_ connection: UpstreamConnection) {
        connection.user = nil
        guard connection.isActive else { return }
        connection.idleSince = .now()
        idle.append(connection)
        connection.resume()
    }

    /// Closes what has been idle for too long.
    func sweep() {
        let now = NIODeadline.now()
        let old = idle.prefix { now - $0.idleSince >= Self.idleLimit }
        idle.removeFirst(old.count)
        for connection in old { connection.close() }
    }

    /// Closes what is idle; nobody asks any more.
    func end() {
        let idle = idle
        self.idle = []
        for connection in idle { connection.close() }
    }

    func forget(_ connection: UpstreamConnection) {
        guard !idle.isEmpty, let index = idle.lastIndex(where: { $0 === connection }) else { return }
        idle.remove(at: index)
    }

    private func connect(for user: any UpstreamUser) {
        let connection = UpstreamConnection(pool: self)
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.seconds(2))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    var configuration = HTTPRequestEncoder.Configuration()
                    configuration.automaticallySetFramingHeaders = false
                    try channel.pipeline.syncOperations.addHandlers(
                        HTTPRequestEncoder(configuration: configuration),
                        ByteToMessageHandler(
                            HTTPResponseDecoder(
                                leftOverBytesStrategy: .dropBytes,
                                informationalResponseStrategy: .forward
                            )
                        ),
                        connection
                    )
                }
            }
        let connected =
            switch upstream.address {
            case .socket(let path): bootstrap.connect(unixDomainSocketPath: path)
            case .host(let host, let port): bootstrap.connect(host: host, port: port)
            }
        connected.whenComplete { [self] result in
            switch result {
            case .success:
                upstream.succeeded()
                isFailing = false
                give(connection, to: user)
                while let next = waiting.popFirst() { acquire(next) }
            case .failure:
                upstream.failed(at: .now())
                guard !upstream.isOpen else {
                    isFailing = false
                    user.unreachable()
                    while let next = waiting.popFirst() { next.unreachable() }
                    return
                }
                waiting.prepend(user)
                isFailing = true
                retryLater()
            }
        }
    }

    private func retryLater() {
        guard !isRetryPlanned else { return }
        isRetryPlanned = true
        loop.scheduleTask(in: Self.pause) { [self] in
            isRetryPlanned = false
            while let next = waiting.popFirst() {
                guard !next.isOver else { continue }
                connect(for: next)
                return
            }
            // Nobody waits any more.
            isFailing = false
        }
    }

    private func give(_ connection: UpstreamConnection, to user: any UpstreamUser) {
        guard !user.isOver else {
            release(connection)
            return
        }
        connection.user = user
        user.connected(connection)
    }
}
