import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
package import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Accepts connections and has their requests answered, on an address of its own or on a socket that was handed down.
///
/// Hummingbird's server binds only addresses, so this one accepts; what becomes of a connection is Hummingbird's.
struct HTTPServer: Service {
    let responder: any HTTPResponder<HostRequestContext>
    let place: HostOptions.Place
    /// How long connections that are open when there is a successor may still send a last request.
    var patience = Duration.seconds(2)
    /// Whether all connections are a gateway's, which is given as long to leave them.
    var isBehindGateway = false
    let onRunning: @Sendable (any Channel) async -> Void
    let logger: Logger

    /// Serves until the end is asked for; then accepts nothing more, and returns when the last connection is closed.
    func run() async throws {
        let http = HTTP1Channel(responder: answer, configuration: .init(additionalChannelHandlers: [LastResponse()]))
        let logger = logger
        let connections = OpenConnections()
        let server = try await accept(connections) { http.setup(channel: $0, logger: logger) }
        await withGracefulShutdownHandler {
            await onRunning(server.channel)
            await withDiscardingTaskGroup { group in
                do {
                    try await server.executeThenClose { inbound in
                        for try await connection in inbound {
                            connections.open(connection.channel)
                            group.addTask { await http.handle(value: connection, logger: logger) }
                        }
                    }
                } catch {
                    logger.error("no more connections can be accepted", metadata: ["error": "\(error)"])
                }
            }
        } onGracefulShutdown: {
            Task {
                await connections.drain(
                    server.channel,
                    at: place,
                    isBehindGateway: isBehindGateway,
                    patience: patience
                )
            }
        }
    }

    private func accept(
        _ connections: OpenConnections,
        _ setUp: @escaping @Sendable (any Channel) -> EventLoopFuture<HTTP1Channel.Value>
    ) async throws -> NIOAsyncChannel<HTTP1Channel.Value, Never> {
        let backlog = HostOptions.backlog
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptedConnections(connections))
                }
            }
        switch place {
        case .address(let host, let port):
            return try await bootstrap.bind(host: host, port: port, childChannelInitializer: setUp)
        case .path(let path):
            return try await bootstrap.bind(
                unixDomainSocketPath: path,
                cleanupExistingSocketFile: true,
                childChannelInitializer: setUp
            )
        case .socket(let descriptor, let succession):
            let server = try await bootstrap.serverChannelOption(.autoRead, value: false)
                .bind(descriptor, childChannelInitializer: setUp)
            // NIO has listened with a backlog of its own before it read the option.
            listen(descriptor, backlog)
            succession.accept(server.channel)
            return server
        }
    }

    @Sendable
    private func answer(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        let context = HostRequestContext(source: ApplicationRequestContextSource(channel: channel, logger: logger))
        var response: Response
        do {
            response = try await responder.respond(to: request, context: context)
        } catch let error as HTTPParserError {
            throw error
        } catch {
            response = Response(status: .internalServerError)
        }
        response.headers[.date] = HTTPDate.now
        do {
            try await writer.write(response: response.head, body: response.body)
        } catch is HTTPParserError {
            // Thrown on, it would be answered by a second response.
            throw BrokenRequest()
        }
    }

    /// A request that turned out not to be HTTP after its answer had begun.
    private struct BrokenRequest: Error {}
}

/// The connections of a server from their being accepted on, each of which is asked to end when its time has come.
package final class OpenConnections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isQuiescing = false
    }
    private let state = Mutex(State())

    package init() {}

    package var isEmpty: Bool { state.withLock { $0.channels.isEmpty } }

    /// One that isn't set up yet.
    func add(_ channel: any Channel) {
        state.withLock { $0.channels[ObjectIdentifier(channel)] = channel }
        channel.closeFuture.whenComplete { [self] _ in
            state.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
        }
    }

    /// One that can be asked to end from now on.
    package func open(_ channel: any Channel) {
        if state.withLock({ $0.isQuiescing }) { Self.quiesce(channel) }
    }

    package func quiesce() {
        let channels = state.withLock { state in
            state.isQuiescing = true
            return Array(state.channels.values)
        }
        for channel in channels { Self.quiesce(channel) }
    }

    /// Ends a server and its connections.
    ///
    /// With a successor or a gateway, connections are told `Connection: close` by their next answer, and only those that stay
    /// silent for `patience` are closed.
    package func drain(
        _ server: any Channel,
        at place: HostOptions.Place,
        isBehindGateway: Bool = false,
        patience: Duration = .seconds(2)
    ) async {
        // Nobody else is to find it any more.
        if case .path(let path) = place { unlink(path) }
        if case .socket(_, let succession) = place, succession.isOver {
            // Not closed yet: NIO drops a connection that is being set up in the instant in which its server is closed.
            try? await server.setOption(.autoRead, value: false).get()  // fails where nothing is accepted any more
            succession.release()
            let end = ContinuousClock.now + patience
            repeat {
                // Cancelled: what is open is closed at once.
                guard (try? await Task.sleep(for: .milliseconds(25))) != nil else { break }
            } while ContinuousClock.now < end && !isEmpty
        } else if isBehindGateway {
            // Whoever comes meanwhile is served.
            let began = ContinuousClock.now
            repeat {
                // Cancelled: what is open is closed at once.
                guard (try? await Task.sleep(for: .milliseconds(25))) != nil else { break }
            } while ContinuousClock.now < began + (isEmpty ? .milliseconds(250) : patience)
        }
        server.close(promise: nil)
        quiesce()
    }

    /// Waits until the last one is closed; cancelled, it closes them.
    package func empty() async {
        while !isEmpty {
            guard (try? await Task.sleep(for: .milliseconds(25))) == nil else { continue }
            for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
            await Task.yield()
        }
    }

    /// Hummingbird closes the connection at once where nothing is asked, else after the answer.
    private static func quiesce(_ channel: any Channel) {
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    }
}

/// Notes connections before they are set up, since none may be forgotten between the two.
package final class AcceptedConnections: ChannelInboundHandler {
    package typealias InboundIn = any Channel
    package typealias InboundOut = any Channel

    private let connections: OpenConnections

    package init(_ connections: OpenConnections) {
        self.connections = connections
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connections.add(unwrapInboundIn(data))
        context.fireChannelRead(data)
    }
}

/// Closes a connection after an answer that says `Connection: close`.
private final class LastResponse: ChannelOutboundHandler, RemovableChannelHandler {
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private var isLast = false

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head) where head.headerFields[.connection] == "close":
            isLast = true
            context.write(data, promise: promise)
        case .end where isLast:
            context.writeAndFlush(data, promise: promise)
            context.close(promise: nil)
        default:
            context.write(data, promise: promise)
        }
    }
}
