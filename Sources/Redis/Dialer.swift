import NIOCore
import NIOPosix
import NIOSSL

/// What a connection tells its owner, always on the connection's event loop.
protocol ConnectionOwner: AnyObject, Sendable {
    func received(_ replies: [RESPValue], from channel: any Channel)
    func closed(_ channel: any Channel, because error: RedisError)
}

/// Opens connections and introduces them: AUTH, SELECT and CLIENT SETNAME.
struct Dialer: Sendable {
    let configuration: RedisConfiguration
    let loop: any EventLoop

    /// Opens one connection, ready for commands.
    ///
    /// Fails with a ``RedisError`` of kind `connection` after the connect timeout at the latest. The owner is told
    /// nothing before the future succeeds, and of the end only if it did.
    func dial(name: String, owner: any ConnectionOwner) -> EventLoopFuture<any Channel> {
        let ready = loop.makePromise(of: (any Channel).self)
        let limit = TimeAmount(clamping: configuration.connectTimeout)
        let overdue = loop.scheduleTask(in: limit) {
            ready.fail(
                RedisError.connection(
                    "no connection to \(configuration.address) within \(configuration.connectTimeout)"
                )
            )
        }
        connect(within: limit)
            .flatMapThrowing { channel in
                ready.futureResult.whenFailure { _ in channel.close(promise: nil) }
                if let tls = try encryption() { try channel.pipeline.syncOperations.addHandler(tls) }
                let greeting = greeting(name: name)
                let handler = try ConnectionHandler(owner: owner, ready: ready, greeting: greeting)
                try channel.pipeline.syncOperations.addHandler(handler)
                handler.greet(on: channel)
            }
            .whenFailure { ready.fail($0) }
        ready.futureResult.whenComplete { _ in overdue.cancel() }
        return ready.futureResult.flatMapErrorThrowing { error in
            guard let error = error as? RedisError else {
                throw RedisError.connection("cannot connect to \(configuration.address): \(error)")
            }
            throw error
        }
    }

    private func connect(within limit: TimeAmount) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: loop).connectTimeout(limit)
        switch configuration.endpoint {
        case .unix(let path): return bootstrap.connect(unixDomainSocketPath: path)
        case .tcp(let host, let port):
            return bootstrap.channelOption(.socketOption(.so_keepalive), value: 1).connect(host: host, port: port)
        }
    }

    private func encryption() throws -> NIOSSLClientHandler? {
        guard let tls = configuration.tls, case .tcp(let host, _) = configuration.endpoint else { return nil }
        // No name is sent for an address, which the certificate must then hold as such.
        let isAddress = (try? SocketAddress(ipAddress: host, port: 1)) != nil
        return try NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : host)
    }

    private func greeting(name: String) -> [Greeting] {
        var greeting: [Greeting] = []
        if let password = configuration.password {
            let user = configuration.user.map { [RedisArgument.string($0)] } ?? []
            greeting.append(Greeting(command: ["AUTH"] + user + [.string(password)], isNeeded: true))
        }
        if configuration.database != 0 {
            let database = Int64(configuration.database)
            greeting.append(Greeting(command: ["SELECT", .integer(database)], isNeeded: true))
        }
        // Redis refuses blanks and control characters in a name.
        let name = String(name.map { $0.isASCII && $0 > " " && $0 <= "~" ? $0 : "-" })
        greeting.append(Greeting(command: ["CLIENT", "SETNAME", .string(name)], isNeeded: false))
        return greeting
    }
}

/// A command sent before all others, whose refusal ends the connection.
struct Greeting: Sendable {
    let command: [RedisArgument]
    /// False for a courtesy: an account that may not send it does without.
    let isNeeded: Bool

    func forgives(_ error: String) -> Bool {
        !isNeeded && (error.hasPrefix("NOPERM") || error.hasPrefix("ERR unknown"))
    }
}

/// Turns a channel's bytes into answers: the first ones are the greeting's, the rest the owner's.
///
/// Used on the channel's event loop only.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let owner: any ConnectionOwner
    private let ready: EventLoopPromise<any Channel>
    private let parser: ReplyParser
    private var greeting: ArraySlice<Greeting>
    private var failure: RedisError?

    init(owner: any ConnectionOwner, ready: EventLoopPromise<any Channel>, greeting: [Greeting]) throws(RedisError) {
        self.owner = owner
        self.ready = ready
        self.greeting = greeting[...]
        parser = try ReplyParser()
    }

    func greet(on channel: any Channel) {
        var buffer = channel.allocator.buffer(capacity: 256)
        for greeting in greeting { buffer.writeCommand(greeting.command) }
        channel.writeAndFlush(buffer, promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var replies: [RESPValue] = []
        do throws(RedisError) {
            try unwrapInboundIn(data).withUnsafeReadableBytes { bytes throws(RedisError) in
                try parser.feed(bytes) { replies.append($0) }
            }
        } catch {
            failure = error
        }
        if !greeting.isEmpty { welcome(&replies, on: context.channel) }
        if !replies.isEmpty { owner.received(replies, from: context.channel) }
        if failure != nil { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if failure == nil { failure = .connection("the connection broke: \(error)") }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let failure = failure ?? .connection("Redis closed the connection")
        guard greeting.isEmpty else { return ready.fail(failure) }
        owner.closed(context.channel, because: failure)
    }

    /// Takes the greeting's answers off the front of `replies`.
    private func welcome(_ replies: inout [RESPValue], on channel: any Channel) {
        while !replies.isEmpty, let greeting = greeting.popFirst() {
            guard case .error(let message) = replies.removeFirst(), !greeting.forgives(message) else { continue }
            let word = greeting.command.first.map { if case .string(let word) = $0 { word } else { "" } } ?? ""
            failure = failure ?? .connection("Redis refused \(word): \(message)")
        }
        guard greeting.isEmpty else { return }
        if let failure { return ready.fail(failure) }
        ready.succeed(channel)
    }
}
