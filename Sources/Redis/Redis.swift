package import Logging
package import NIOCore
import NIOPosix
import Synchronization

/// A client of one Redis: a shared connection for short commands, and others of their own kind beside it.
///
/// It connects when first used and again whenever the connection is lost. What was under way then fails as
/// unavailable and is not sent again; later calls wait for the new connection, at most the connect timeout.
///
/// A call in a task that is cancelled returns at once with kind `cancelled`; a command not yet sent is not sent then,
/// one that was sent may run. A task already cancelled sends nothing.
package final class Redis: Sendable {
    private let configuration: RedisConfiguration
    private let logger: Logger
    private let group: any EventLoopGroup
    private let link: Link
    /// Ends each connection this client gave out, by its identity; `nil` once the client is shut down.
    private let others = Mutex<[ObjectIdentifier: @Sendable () async -> Void]?>([:])

    package init(
        _ configuration: RedisConfiguration,
        logger: Logger,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.configuration = configuration
        self.logger = logger
        self.group = group
        link = Link(
            name: configuration.clientName,
            configuration: configuration,
            policy: Link.Policy(staysConnected: true, endsAtDeadline: false),
            loop: group.next(),
            logger: logger
        )
    }

    deinit { link.close() }

    /// Closes every connection, those for blocking reads and subscriptions too; calls under way and later ones fail.
    package func shutdown() async {
        let endings = others.withLock { others in
            defer { others = nil }
            return others.map { Array($0.values) } ?? []
        }
        for end in endings { await end() }
        await link.shutdown()
    }

    /// The shared connection's condition.
    package var statistics: RedisStatistics { link.statistics }

    /// Sends one command on the shared connection and returns its answer.
    ///
    /// Not for commands that block (`BRPOP`, `XREAD BLOCK`: use ``blocking(name:)``) or change the connection (`SELECT`,
    /// `SUBSCRIBE`, `CLIENT REPLY`, a `MULTI` on its own): everybody shares it.
    ///
    /// - Parameters:
    ///   - arguments: the command's words, at least one.
    ///   - timeout: how long to wait in all, instead of the configuration's command timeout.
    /// - Returns: the answer, never an error.
    /// - Throws: ``RedisError``; of kind `server` when the answer is an error.
    package func command(
        _ arguments: [RedisArgument],
        timeout: Duration? = nil
    ) async throws(RedisError) -> RESPValue {
        try await SingleReply().outcome { link.send(arguments, timeout: timeout, to: $0) }.get()
    }

    /// Sends commands together, nobody else's between them, and returns their outcomes in the same order.
    ///
    /// One command's error is only its own. `MULTI` … `EXEC` may be sent this way.
    package func pipeline(
        _ commands: [[RedisArgument]],
        timeout: Duration? = nil
    ) async -> [Result<RESPValue, RedisError>] {
        guard !commands.isEmpty else { return [] }
        return await PipelineReply(count: commands.count).outcomes { link.send(commands, timeout: timeout, to: $0) }
    }

    /// Runs a script by its digest, or by its source when Redis does not know it (a new server, `SCRIPT FLUSH`).
    ///
    /// A script Redis does not know has not run, so sending it again is safe.
    package func evaluate(
        _ script: RedisScript,
        keys: [String],
        arguments: [RedisArgument],
        timeout: Duration? = nil
    ) async throws(RedisError) -> RESPValue {
        let operands = [.integer(Int64(keys.count))] + keys.map { .string($0) } + arguments
        do {
            return try await command(["EVALSHA", .string(script.sha1)] + operands, timeout: timeout)
        } catch {
            guard error.code == "NOSCRIPT" else { throw error }
            return try await command(["EVAL", .string(script.source)] + operands, timeout: timeout)
        }
    }

    /// A connection of its own for commands that block, opened by its first command.
    ///
    /// - Parameter name: what `CLIENT LIST` shows after the client's name.
    /// - Returns: a connection for one caller, closed by ``shutdown()`` at the latest.
    package func blocking(name: String) -> RedisBlockingConnection {
        let link = Link(
            name: "\(configuration.clientName):\(name)",
            configuration: configuration,
            policy: Link.Policy(staysConnected: false, endsAtDeadline: true),
            loop: group.next(),
            logger: logger
        )
        let identity = ObjectIdentifier(link)
        if !register(identity, { [weak link] in await link?.shutdown() }) { link.close() }
        return RedisBlockingConnection(link) { [weak self] in self?.forget(identity) }
    }

    /// The messages of some channels, on a connection of its own that lives as long as the stream is read.
    package func subscribe(_ channels: [String]) -> AsyncStream<RedisMessage> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: RedisMessage.self,
            bufferingPolicy: .bufferingOldest(Subscription.bufferedMessages)
        )
        guard !channels.isEmpty else {
            continuation.finish()
            return stream
        }
        let subscription = Subscription(
            channels: channels,
            configuration: configuration,
            loop: group.next(),
            logger: logger,
            continuation: continuation
        )
        let identity = ObjectIdentifier(subscription)
        continuation.onTermination = { [weak self] _ in
            subscription.close()
            self?.forget(identity)
        }
        if register(identity, { [weak subscription] in await subscription?.shutdown() }) {
            subscription.start()
        } else {
            subscription.close()
        }
        return stream
    }

    /// Remembers what to end in ``shutdown()``; false when that has been called already.
    private func register(_ identity: ObjectIdentifier, _ end: @escaping @Sendable () async -> Void) -> Bool {
        others.withLock { others in
            others?[identity] = end
            return others != nil
        }
    }

    private func forget(_ identity: ObjectIdentifier) {
        _ = others.withLock { $0?.removeValue(forKey: identity) }
    }
}
