import NIOCore

/// What a ``Link`` keeps behind its lock: plain decisions, no I/O.
struct LinkState {
    enum Phase {
        /// No connection and none sought; not before `until` (backoff).
        case idle(until: NIODeadline)
        case connecting
        case open(any Channel)
        case closed

        var isConnecting: Bool { if case .connecting = self { true } else { false } }
    }

    /// One command's place in the line.
    struct Entry {
        let reply: any Reply
        let position: Int
        /// When the caller is told that there was no answer; `distantFuture` once told.
        var deadline: NIODeadline
        /// How long the answer may take before the connection is suspected.
        let silence: TimeAmount
        var suspectAt = NIODeadline.distantFuture

        func settle(_ outcome: RedisOutcome) { reply.settle(position, outcome) }
    }

    /// A command that has no connection yet, so it is known not to have run.
    struct Waiting {
        let command: [RedisArgument]
        let entry: Entry
        let until: NIODeadline
    }

    struct Overdue {
        var unsent: [Entry] = []
        var unanswered: [Entry] = []
        /// Why the last attempt to connect failed.
        var reason: RedisError?
    }

    var phase = Phase.idle(until: .uptimeNanoseconds(0))
    /// Counts connections, so that news of an old one is known as such.
    var epoch = 0
    /// Encoded, for the next flush.
    var outgoing = ByteBuffer()
    /// Bytes handed to the channel that the kernel has not taken yet.
    var unwritten = 0
    var isFlushScheduled = false
    var inFlight = CircularBuffer<Entry>()
    var waiting = CircularBuffer<Waiting>()
    var waitingBytes = 0
    var lastRead = NIODeadline.uptimeNanoseconds(0)
    var alarm: NIODeadline?
    var failures = 0
    var lastFailure: RedisError?
    private var commands = 0
    private var connections = 0
    private var timeouts = 0

    var statistics: RedisStatistics {
        RedisStatistics(
            isConnected: { if case .open = phase { true } else { false } }(),
            waiting: waiting.count,
            inFlight: inFlight.count,
            commands: commands,
            connections: connections,
            timeouts: timeouts
        )
    }

    /// Why `count` more commands of `size` bytes together cannot be taken in.
    func refusal(of count: Int, size: Int, _ configuration: RedisConfiguration) -> RedisError? {
        if case .closed = phase { return .connection("the client is shut down") }
        let queued = inFlight.count + waiting.count
        guard queued == 0 || queued + count <= configuration.maximumQueued else {
            return .connection("\(queued) commands are waiting for answers already")
        }
        guard outgoing.readableBytes + unwritten + waitingBytes + size <= configuration.maximumPendingBytes else {
            return .connection("more than \(configuration.maximumPendingBytes) bytes of commands would be waiting")
        }
        return nil
    }

    mutating func encode(_ command: [RedisArgument], _ entry: Entry, now: NIODeadline) {
        outgoing.writeCommand(command)
        var entry = entry
        entry.suspectAt = now + entry.silence
        inFlight.append(entry)
        commands += 1
    }

    // MARK: Claims: each says whether the caller must act on it

    mutating func claimFlush() -> Bool {
        defer { isFlushScheduled = true }
        return !isFlushScheduled
    }

    mutating func claimDial(now: NIODeadline) -> TimeAmount? {
        guard case .idle(let until) = phase else { return nil }
        phase = .connecting
        return max(.zero, until - now)
    }

    mutating func claimAlarm(at time: NIODeadline) -> NIODeadline? {
        if let alarm, alarm <= time { return nil }
        alarm = time
        return time
    }

    mutating func takeAlarm(at time: NIODeadline) -> Bool {
        guard alarm == time else { return false }
        alarm = nil
        return true
    }

    // MARK: The connection's life

    /// Makes `channel` the connection and moves onto it what waited for one; false when nobody wants it any more.
    mutating func open(_ channel: any Channel, now: NIODeadline) -> Bool {
        guard case .connecting = phase else { return false }
        phase = .open(channel)
        lastRead = now
        failures = 0
        lastFailure = nil
        connections += 1
        while let next = waiting.popFirst() {
            if !next.entry.reply.isSettled { encode(next.command, next.entry, now: now) }
        }
        waitingBytes = 0
        isFlushScheduled = true
        return true
    }

    mutating func takeOutgoing() -> (any Channel, ByteBuffer, epoch: Int)? {
        isFlushScheduled = false
        guard case .open(let channel) = phase, outgoing.readableBytes > 0 else { return nil }
        let buffer = outgoing
        outgoing = ByteBuffer()
        unwritten += buffer.readableBytes
        return (channel, buffer, epoch)
    }

    mutating func takeAnswered(_ count: Int, from channel: any Channel, now: NIODeadline) -> [Entry] {
        guard case .open(let current) = phase, current === channel else { return [] }
        lastRead = now
        let entries = Array(inFlight.prefix(count))
        inFlight.removeFirst(entries.count)
        return entries
    }

    /// Forgets the connection and gives back what was under way on it.
    mutating func lose(now: NIODeadline, failures: Int) -> [Entry] {
        phase = .idle(until: now + Backoff.delay(afterFailures: failures))
        self.failures = failures
        epoch += 1
        outgoing = ByteBuffer()
        unwritten = 0
        defer { inFlight.removeAll() }
        return Array(inFlight)
    }

    mutating func close() -> ((any Channel)?, [Entry]) {
        var channel: (any Channel)?
        if case .open(let current) = phase { channel = current }
        let entries = waiting.map(\.entry) + lose(now: .now(), failures: 0)
        waiting.removeAll()
        waitingBytes = 0
        phase = .closed
        return (channel, entries)
    }

    // MARK: Deadlines

    /// True when the oldest command has had its time and nothing at all was heard for as long.
    func isSilent(now: NIODeadline, patience: TimeAmount) -> Bool {
        guard case .open = phase, let oldest = inFlight.first else { return false }
        return now >= oldest.suspectAt && now >= lastRead + patience
    }

    mutating func takeOverdue(now: NIODeadline) -> Overdue {
        var overdue = Overdue(reason: lastFailure)
        for index in inFlight.indices where inFlight[index].deadline <= now {
            overdue.unanswered.append(inFlight[index])
            inFlight[index].deadline = .distantFuture
        }
        timeouts += overdue.unanswered.count
        if waiting.contains(where: { $0.until <= now }) {
            overdue.unsent = waiting.filter { $0.until <= now }.map(\.entry)
            waiting = waiting.filter { $0.until > now }
            waitingBytes = waiting.reduce(0) { $0 + $1.command.wireSize }
        }
        return overdue
    }

    func nextAlarm(patience: TimeAmount) -> NIODeadline? {
        var next = NIODeadline.distantFuture
        if let oldest = inFlight.first { next = max(oldest.suspectAt, lastRead + patience) }
        for entry in inFlight { next = min(next, entry.deadline) }
        for command in waiting { next = min(next, command.until) }
        return next == .distantFuture ? nil : next
    }
}
