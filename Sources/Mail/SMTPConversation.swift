import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

/// One connection to a mail server: a command goes, its reply comes, one after the other.
struct SMTPConversation: Sendable {
    /// What we call ourselves: the connection's own address, since a worker has no name in the DNS (RFC 5321 §4.1.3).
    let name: String
    private let channel: any Channel
    private let replies: NIOLoopBound<ReplyHandler>
    private let configuration: SMTPConfiguration
    private let overdue: Scheduled<Void>

    private init(_ channel: any Channel, _ replies: NIOLoopBound<ReplyHandler>, _ configuration: SMTPConfiguration) {
        self.channel = channel
        self.replies = replies
        self.configuration = configuration
        let address = channel.localAddress?.ipAddress ?? "127.0.0.1"
        name = address.contains(":") ? "[IPv6:\(address)]" : "[\(address)]"
        overdue = channel.eventLoop.scheduleTask(in: TimeAmount(configuration.deadline)) {
            replies.value.fail(.overdue("a mail took longer than \(configuration.deadline)"))
            channel.close(promise: nil)
        }
    }

    /// - Throws: ``SMTPError`` when there is no connection in time.
    static func open(_ configuration: SMTPConfiguration) async throws -> SMTPConversation {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        do {
            return try await ClientBootstrap(group: loop)
                .connectTimeout(TimeAmount(configuration.timeout))
                // Before the connection is there: the greeting may come with it.
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ReplyHandler())
                    }
                }
                .connect(host: configuration.host, port: configuration.port)
                .flatMapThrowing { channel in
                    let handler = try channel.pipeline.syncOperations.handler(type: ReplyHandler.self)
                    return SMTPConversation(channel, NIOLoopBound(handler, eventLoop: loop), configuration)
                }
                .get()
        } catch {
            throw SMTPError.connection("\(configuration.host):\(configuration.port): \(error)")
        }
    }

    /// Sends a command and waits for the reply to it.
    func ask(_ command: String) async throws -> SMTPReply {
        try await ask(bytes: Array(command.utf8) + [0x0D, 0x0A])
    }

    func ask(bytes: [UInt8]) async throws -> SMTPReply { try await exchange(bytes) }

    /// Waits for the greeting, which answers nothing.
    func awaitReply() async throws -> SMTPReply { try await exchange(nil) }

    private func exchange(_ bytes: [UInt8]?) async throws -> SMTPReply {
        let (channel, replies, limit) = (channel, replies, configuration.timeout)
        let answered = channel.eventLoop.flatSubmit {
            let promise = channel.eventLoop.makePromise(of: SMTPReply.self)
            let late = channel.eventLoop.scheduleTask(in: TimeAmount(limit)) {
                replies.value.fail(.overdue("no answer within \(limit)"))
                channel.close(promise: nil)
            }
            promise.futureResult.whenComplete { _ in late.cancel() }
            replies.value.expect(promise)
            if let bytes { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
            return promise.futureResult
        }
        return try await answered.get()
    }

    /// Encrypts from here on. The certificate must be the host's and come from somebody who is trusted.
    func startTLS() async throws {
        let (channel, replies, configuration) = (channel, replies, configuration)
        do {
            var tls = TLSConfiguration.makeClientConfiguration()
            if let file = configuration.certificates { tls.trustRoots = .file(file) }
            let context = try NIOSSLContext(configuration: tls)
            try await channel.eventLoop.flatSubmit {
                let shaken = channel.eventLoop.makePromise(of: Void.self)
                do {
                    try replies.value.checkNothingIsLeft()
                    let isAddress = (try? SocketAddress(ipAddress: configuration.host, port: 1)) != nil
                    let tls = try NIOSSLClientHandler(
                        context: context,
                        serverHostname: isAddress ? nil : configuration.host
                    )
                    replies.value.expectTLS(shaken)
                    try channel.pipeline.syncOperations.addHandler(tls, position: .first)
                } catch {
                    shaken.fail(error)
                }
                return shaken.futureResult
            }.get()
        } catch let error as SMTPError {
            throw error
        } catch {
            throw SMTPError.tls("\(error)")
        }
    }

    /// Ends the connection without a word.
    func cut() {
        overdue.cancel()
        channel.close(promise: nil)
    }
}

/// Hands each reply to who waits for it. Lives on its connection's event loop.
private final class ReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var parser = SMTPReply.Parser()
    private var waiting: EventLoopPromise<SMTPReply>?
    private var greeting: SMTPReply?
    private var isGreeted = false
    private var shaking: EventLoopPromise<Void>?
    private var failure: SMTPError?

    func expect(_ promise: EventLoopPromise<SMTPReply>) {
        if let failure { return promise.fail(failure) }
        if let greeting {
            self.greeting = nil
            return promise.succeed(greeting)
        }
        waiting = promise
    }

    func expectTLS(_ promise: EventLoopPromise<Void>) {
        if let failure { return promise.fail(failure) }
        shaking = promise
    }

    /// - Throws: ``SMTPError`` when something came in the clear that TLS would have us believe (CVE-2011-0411).
    func checkNothingIsLeft() throws {
        if let failure { throw failure }
        guard parser.isEmpty, greeting == nil else { throw SMTPError.protocolFault("it speaks before TLS has begun") }
    }

    func fail(_ error: SMTPError) {
        if failure == nil { failure = error }
        let (waiting, shaking) = (waiting, shaking)
        self.waiting = nil
        self.shaking = nil
        waiting?.fail(failure ?? error)
        shaking?.fail(failure ?? error)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do throws(SMTPError) {
            for reply in try parser.read(unwrapInboundIn(data).readableBytesView) {
                if let waiting {
                    self.waiting = nil
                    isGreeted = true
                    waiting.succeed(reply)
                } else if !isGreeted {
                    // It may come before anybody has asked.
                    isGreeted = true
                    greeting = reply
                } else {
                    throw .protocolFault("an answer that nobody asked for")
                }
            }
        } catch {
            fail(error)
            context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent {
            shaking?.succeed()
            shaking = nil
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(shaking == nil && !(error is NIOSSLError) ? .connection("\(error)") : .tls("\(error)"))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(.connection("it hung up"))
    }
}

extension TimeAmount {
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
