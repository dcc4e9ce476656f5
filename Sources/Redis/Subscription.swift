import Logging
import NIOCore
import Synchronization

/// What a subscription yields.
package enum RedisMessage: Sendable, Equatable {
    /// The subscription holds for the first time: what is published from now on arrives.
    case subscribed
    /// The subscription holds again after a gap, in which messages may have been missed: read again what they tell of.
    case reconnected
    /// A published message; a payload that is not UTF-8 is repaired.
    case message(channel: String, payload: String)
}

/// The connection behind one stream of messages: subscribes, and subscribes again after every loss.
///
/// Redis never speaks on a quiet subscription, so it is asked with PING once in a command timeout; an unanswered PING
/// at the next turn is the end of the connection.
final class Subscription: Sendable {
    /// How many messages may wait for a slow reader. Past it they are dropped, and told of as a gap.
    static let bufferedMessages = 4096

    private struct State {
        var channel: (any Channel)?
        var unconfirmed = 0
        var hasSubscribed = false
        var hasGap = false
        var isPingUnanswered = false
        var failures = 0
        var isClosed = false
    }

    private let channels: [String]
    private let configuration: RedisConfiguration
    private let loop: any EventLoop
    private let logger: Logger
    private let continuation: AsyncStream<RedisMessage>.Continuation
    private let state = Mutex(State())

    init(
        channels: [String],
        configuration: RedisConfiguration,
        loop: any EventLoop,
        logger: Logger,
        continuation: AsyncStream<RedisMessage>.Continuation
    ) {
        self.channels = channels
        self.configuration = configuration
        self.loop = loop
        self.continuation = continuation
        var logger = logger
        logger[metadataKey: "redis"] = "\(configuration.address)"
        logger[metadataKey: "connection"] = "subscription"
        self.logger = logger
    }

    func start() { loop.execute { self.dial() } }

    func shutdown() async {
        try? await close()?.closeFuture.get()  // Closed with or without an error.
    }

    @discardableResult
    func close() -> (any Channel)? {
        let channel = state.withLock { state in
            state.isClosed = true
            return state.channel.take()
        }
        continuation.finish()
        channel?.close(promise: nil)
        return channel
    }

    private func dial() {
        guard !state.withLock(\.isClosed) else { return }
        let dialer = Dialer(configuration: configuration, loop: loop)
        dialer.dial(name: "\(configuration.clientName):subscription", owner: self).whenComplete { result in
            switch result {
            case .success(let channel): self.opened(channel)
            case .failure(let error): self.retry(after: error as? RedisError ?? .connection("\(error)"))
            }
        }
    }

    private func opened(_ channel: any Channel) {
        let isWanted = state.withLock { state in
            guard !state.isClosed else { return false }
            state.channel = channel
            state.unconfirmed = channels.count
            state.isPingUnanswered = false
            return true
        }
        guard isWanted else { return channel.close(promise: nil) }
        send(["SUBSCRIBE"] + channels.map { .string($0) }, on: channel)
        let interval = TimeAmount(clamping: configuration.commandTimeout)
        let pulse = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
            self?.beat(on: channel)
        }
        channel.closeFuture.whenComplete { _ in pulse.cancel() }
    }

    private func send(_ command: [RedisArgument], on channel: any Channel) {
        var buffer = channel.allocator.buffer(capacity: 256)
        buffer.writeCommand(command)
        channel.writeAndFlush(buffer, promise: nil)
    }

    private func beat(on channel: any Channel) {
        let isDead = state.withLock { state in
            defer { state.isPingUnanswered = true }
            return state.isPingUnanswered
        }
        if isDead {
            lose(channel, because: .connection("no answer within \(configuration.commandTimeout)"))
        } else {
            send(["PING"], on: channel)
            fillGap()
        }
    }

    private func lose(_ channel: any Channel, because error: RedisError) {
        let isCurrent = state.withLock { state in
            guard state.channel === channel else { return false }
            state.channel = nil
            return true
        }
        guard isCurrent else { return }
        channel.close(promise: nil)
        retry(after: error)
    }

    private func retry(after error: RedisError) {
        let failures = state.withLock { state in
            state.failures += 1
            return state.isClosed ? 0 : state.failures
        }
        guard failures > 0 else { return }
        logger.log(
            level: failures == 1 ? .warning : .debug,
            "subscription lost",
            metadata: ["error": "\(error.message)"]
        )
        loop.scheduleTask(in: Backoff.delay(afterFailures: failures)) { self.dial() }
    }

    private func confirmed() {
        let message: RedisMessage? = state.withLock { state in
            state.unconfirmed -= 1
            guard state.unconfirmed == 0 else { return nil }
            defer { state.hasSubscribed = true }
            state.failures = 0
            return state.hasSubscribed ? .reconnected : .subscribed
        }
        if let message { yield(message) }
    }

    /// Hands a message to the reader; what finds no room becomes a gap, told of before the next that does.
    private func yield(_ message: RedisMessage) {
        guard fillGap() else { return }
        if case .dropped = continuation.yield(message) { state.withLock { $0.hasGap = true } }
    }

    @discardableResult
    private func fillGap() -> Bool {
        guard state.withLock(\.hasGap) else { return true }
        if case .dropped = continuation.yield(.reconnected) { return false }
        state.withLock { $0.hasGap = false }
        return true
    }
}

extension Subscription: ConnectionOwner {
    func received(_ replies: [RESPValue], from channel: any Channel) {
        state.withLock { $0.isPingUnanswered = false }
        for reply in replies {
            if case .error(let message) = reply {
                return lose(channel, because: .connection("Redis refused SUBSCRIBE: \(message)"))
            }
            // RESP 2: [subscribe, channel, count], [message, channel, payload], [pong, ""].
            guard let parts = reply.array, let kind = parts.first?.string else { continue }
            if kind == "subscribe" {
                confirmed()
            } else if kind == "message", parts.count == 3, let channel = parts[1].bytes, let payload = parts[2].bytes {
                yield(
                    .message(
                        channel: String(decoding: channel, as: UTF8.self),
                        payload: String(decoding: payload, as: UTF8.self)
                    )
                )
            }
        }
    }

    func closed(_ channel: any Channel, because error: RedisError) {
        lose(channel, because: error)
    }
}
