import Logging
import NIOCore
import Synchronization

/// One connection with a line of commands on it, opened when first needed and replaced when it dies.
///
/// Callers on any task encode into one shared buffer; when it turns from empty to non-empty one flush is scheduled on
/// the event loop, so all commands of a tick leave in one write. Answers come back in the order of the commands. All
/// state is behind one lock that is never held while a caller is resumed; `outgoing` is written, answers are taken
/// and connections change on the event loop only.
final class Link: Sendable {
    /// How the connection behaves where the shared one and a blocking one differ.
    struct Policy: Sendable {
        /// Connect again as soon as the connection is lost, rather than for the next command.
        let staysConnected: Bool
        /// A command without an answer by its deadline takes the connection with it.
        let endsAtDeadline: Bool
    }

    let name: String
    let configuration: RedisConfiguration
    private let policy: Policy
    private let loop: any EventLoop
    private let logger: Logger
    private let state = Mutex(LinkState())

    init(name: String, configuration: RedisConfiguration, policy: Policy, loop: any EventLoop, logger: Logger) {
        self.name = name
        self.configuration = configuration
        self.policy = policy
        self.loop = loop
        var logger = logger
        logger[metadataKey: "redis"] = "\(configuration.address)"
        logger[metadataKey: "connection"] = "\(name)"
        self.logger = logger
    }

    var statistics: RedisStatistics {
        state.withLock(\.statistics)
    }

    /// Queues a command; `reply` hears of its outcome at position 0, at the latest when `timeout` has passed.
    func send(_ command: [RedisArgument], timeout: Duration?, to reply: any Reply) {
        send(CollectionOfOne(command), timeout: timeout, to: reply)
    }

    /// Queues commands, nobody else's between them; `reply` hears of each by its position.
    func send(_ commands: some Collection<[RedisArgument]>, timeout: Duration?, to reply: any Reply) {
        guard !commands.contains(where: \.isEmpty) else {
            return fail(commands.count, .configuration("a command has no words"), reply)
        }
        if let timeout, timeout <= .zero {
            return fail(commands.count, .timeout("the deadline passed before the command was sent"), reply)
        }
        let now = NIODeadline.now()
        let patience = TimeAmount(clamping: configuration.commandTimeout)
        let limit = timeout.map { TimeAmount(clamping: $0) } ?? patience
        let wait = min(limit, TimeAmount(clamping: configuration.connectTimeout))
        let size = commands.reduce(0) { $0 + $1.wireSize }
        let refusal: RedisError?
        let steps: Steps
        (refusal, steps) = state.withLock { state in
            if let refusal = state.refusal(of: commands.count, size: size, configuration) { return (refusal, Steps()) }
            var steps = Steps()
            for (position, command) in commands.enumerated() {
                let entry = LinkState.Entry(
                    reply: reply,
                    position: position,
                    deadline: now + limit,
                    silence: max(limit, patience)
                )
                if case .open = state.phase {
                    state.encode(command, entry, now: now)
                } else {
                    state.waiting.append(LinkState.Waiting(command: command, entry: entry, until: now + wait))
                }
            }
            if case .open = state.phase {
                steps.flushes = state.claimFlush()
                steps.alarm = state.claimAlarm(at: now + limit)
            } else {
                state.waitingBytes += size
                steps.dials = state.claimDial(now: now)
                steps.alarm = state.claimAlarm(at: now + wait)
            }
            return (nil, steps)
        }
        if let refusal { fail(commands.count, refusal, reply) }
        take(steps)
    }

    /// Ends the connection for the sake of one caller that gave up; a link that stays connected opens another.
    func drop(because error: RedisError) {
        lose(nil, because: error, isOurs: true)
    }

    /// Fails what is under way, closes the connection for good and waits until it is closed.
    func shutdown() async {
        try? await close()?.closeFuture.get()  // Closed with or without an error.
    }

    /// Fails what is under way and closes the connection for good.
    @discardableResult
    func close() -> (any Channel)? {
        let (channel, replies) = state.withLock { $0.close() }
        for entry in replies { entry.settle(.failure(.connection("the client is shut down"))) }
        channel?.close(promise: nil)
        return channel
    }

    private func fail(_ count: Int, _ error: RedisError, _ reply: any Reply) {
        for position in 0..<count { reply.settle(position, .failure(error)) }
    }
}

// MARK: - Steps taken outside the lock

extension Link {
    /// What is left to do once the lock is given back.
    private struct Steps {
        var flushes = false
        var dials: TimeAmount?
        var alarm: NIODeadline?
    }

    private func take(_ steps: Steps) {
        if steps.flushes { loop.execute { self.flush() } }
        if let delay = steps.dials { loop.scheduleTask(in: delay) { self.dial() } }
        if let alarm = steps.alarm { loop.scheduleTask(deadline: alarm) { [weak self] in self?.ring(alarm) } }
    }

    private func flush() {
        loop.preconditionInEventLoop()
        guard let (channel, buffer, epoch) = state.withLock({ $0.takeOutgoing() }) else { return }
        let count = buffer.readableBytes
        channel.writeAndFlush(buffer).whenComplete { _ in
            self.state.withLock { state in
                if state.epoch == epoch { state.unwritten -= count }
            }
        }
    }

    private func dial() {
        guard state.withLock({ $0.phase.isConnecting }) else { return }
        let dialer = Dialer(configuration: configuration, loop: loop)
        dialer.dial(name: name, owner: self).whenComplete { result in
            switch result {
            case .success(let channel): self.opened(channel)
            case .failure(let error): self.failed(error as? RedisError ?? .connection("\(error)"))
            }
        }
    }

    private func opened(_ channel: any Channel) {
        let isWanted = state.withLock { $0.open(channel, now: .now()) }
        guard isWanted else { return channel.close(promise: nil) }
        let isFirst = statistics.connections == 1
        logger.log(level: isFirst ? .debug : .info, isFirst ? "connected" : "connected again")
        flush()
        look()
    }

    private func failed(_ error: RedisError) {
        let steps: Steps
        let failures: Int
        (steps, failures) = state.withLock { state in
            guard state.phase.isConnecting else { return (Steps(), 0) }
            state.failures += 1
            state.lastFailure = error
            state.phase = .idle(until: .now() + Backoff.delay(afterFailures: state.failures))
            var steps = Steps()
            if policy.staysConnected || !state.waiting.isEmpty { steps.dials = state.claimDial(now: .now()) }
            return (steps, state.failures)
        }
        if failures == 1 {
            logger.warning("cannot connect", metadata: ["error": "\(error.message)"])
        } else {
            logger.debug("cannot connect", metadata: ["error": "\(error.message)", "failures": "\(failures)"])
        }
        take(steps)
    }

    /// A connection given up, and what is left to do about it.
    private struct Loss {
        let channel: any Channel
        let entries: [LinkState.Entry]
        let error: RedisError
        /// Given up by this side for a caller's sake, so nothing is wrong with Redis.
        let isOurs: Bool
        var steps = Steps()
    }

    /// Gives the connection up if it is still `channel` (or whichever it is), and fails what was under way on it.
    private func lose(_ channel: (any Channel)?, because error: RedisError, isOurs: Bool) {
        let loss = state.withLock { state -> Loss? in
            if let channel, case .open(let current) = state.phase, current !== channel { return nil }
            return lose(&state, because: error, isOurs: isOurs)
        }
        if let loss { bear(loss) }
    }

    private func lose(_ state: inout LinkState, because error: RedisError, isOurs: Bool) -> Loss? {
        guard case .open(let channel) = state.phase else { return nil }
        let now = NIODeadline.now()
        let entries = state.lose(now: now, failures: isOurs ? 0 : 1)
        var loss = Loss(channel: channel, entries: entries, error: error, isOurs: isOurs)
        if policy.staysConnected { loss.steps.dials = state.claimDial(now: now) }
        return loss
    }

    private func bear(_ loss: Loss) {
        loss.channel.close(promise: nil)
        let metadata: Logger.Metadata = ["error": "\(loss.error.message)"]
        logger.log(level: loss.isOurs ? .debug : .warning, "connection lost", metadata: metadata)
        for entry in loss.entries { entry.settle(.failure(loss.error)) }
        take(loss.steps)
    }

    /// The alarm set for `time` rings; an earlier one may have taken its place.
    private func ring(_ time: NIODeadline) {
        guard state.withLock({ $0.takeAlarm(at: time) }) else { return }
        look()
    }

    /// Fails what is overdue, gives up a connection that is silent or must end, and sets the next alarm.
    ///
    /// The connection is given up before anybody hears of it, so that a caller's next command gets a new one.
    private func look() {
        let now = NIODeadline.now()
        let patience = TimeAmount(clamping: configuration.commandTimeout)
        var overdue = LinkState.Overdue()
        var loss: Loss?
        let steps = state.withLock { state in
            if !policy.endsAtDeadline, state.isSilent(now: now, patience: patience) {
                loss = lose(
                    &state,
                    because: .connection("no answer within \(configuration.commandTimeout)"),
                    isOurs: false
                )
            } else {
                overdue = state.takeOverdue(now: now)
                if policy.endsAtDeadline, !overdue.unanswered.isEmpty {
                    loss = lose(
                        &state,
                        because: .connection("an earlier command was not answered in time"),
                        isOurs: true
                    )
                }
            }
            return Steps(alarm: state.nextAlarm(patience: patience).flatMap { state.claimAlarm(at: $0) })
        }
        take(steps)
        for entry in overdue.unsent {
            let message = "no connection: \(overdue.reason?.message ?? "still connecting")"
            entry.settle(.failure(entry.deadline <= now ? .timeout(message) : .connection(message)))
        }
        for entry in overdue.unanswered { entry.settle(.failure(.timeout("no answer before the deadline"))) }
        if let loss { bear(loss) }
    }
}

// MARK: - What the connection says

extension Link: ConnectionOwner {
    func received(_ replies: [RESPValue], from channel: any Channel) {
        let entries = state.withLock { $0.takeAnswered(replies.count, from: channel, now: .now()) }
        for (entry, value) in zip(entries, replies) {
            if case .error(let message) = value {
                entry.settle(.failure(.server(message)))
            } else {
                entry.settle(.success(value))
            }
        }
        if entries.count < replies.count {
            lose(channel, because: .connection("Redis sent an answer nobody asked for"), isOurs: false)
        }
    }

    func closed(_ channel: any Channel, because error: RedisError) {
        lose(channel, because: error, isOurs: false)
    }
}
