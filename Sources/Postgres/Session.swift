import CPostgres

/// libpq's pointer to one connection.
///
/// libpq allows one thread at a time in a connection. The thread that connects has it alone and then hands it to the
/// ``Session`` inside the `Mutex` of its ``Link``, where every later use is: so it may pass as `Sendable`.
struct ConnectionPointer: @unchecked Sendable {
    let pointer: OpaquePointer
}

/// The protocol state of one open connection: what was sent, and what its answers belong to.
///
/// The connection stays in libpq's pipeline mode, except while a script or a COPY runs on it. Every call is its
/// statements, a preparation before each that needs one, and a Sync; `steps` lists what the server owes in order.
struct Session: Sendable {
    /// A call in flight. Its deadline moves once when a cancellation was asked for, to leave that time to work.
    struct Pending: Sendable {
        let call: Call
        var deadline: Int64
        /// Why the statement was asked to stop: `.timeout` or `.cancelled`.
        var interruption: PostgresError.Kind?
    }

    enum Step: Sendable {
        case prepare(StatementCache.Entry)
        case execute(StatementCache.Entry?)
        case sync
    }

    /// Outside pipeline mode at most one call is in flight, and `pending` holds just that.
    enum Mode: Sendable {
        case pipeline
        case script
        case copyBeginning
        case copying
        case copyEnding
    }

    private let connection: ConnectionPointer
    let canceller: Canceller?
    /// Whether calls of several tasks lie behind one another, so that no statement may leave anything behind.
    let isShared: Bool
    var mode = Mode.pipeline
    var pending = FIFO<Pending>()
    var steps = FIFO<Step>()
    var statements: StatementCache
    /// Of the call at the head: what has come so far.
    var received: [PostgresRows] = []
    var failure: PostgresError?
    /// libpq ends the results of every command but Sync with a null.
    var awaitsNull = false
    /// libpq holds bytes that the socket would not take.
    var wantsWrite = false
    /// Takes no more calls; closes when nobody waits for those it has.
    var isRetired = false
    /// A cancel request was sent to this connection; it might yet hit a later statement.
    var isTainted = false
    /// Set where sending failed; the poller closes the connection for it.
    var defect: PostgresError?

    private var group = 0
    private var scratch: [UInt8] = []
    private var offsets: [Int] = []

    init(_ connection: ConnectionPointer, isShared: Bool, statementLimit: Int) {
        self.isShared = isShared
        self.connection = connection
        self.canceller = Canceller(connection.pointer)
        self.statements = StatementCache(limit: statementLimit)
    }

    var pointer: OpaquePointer { connection.pointer }

    /// Whether nothing is in flight and no transaction open.
    var isClean: Bool {
        mode == .pipeline && pending.isEmpty && defect == nil && !isRetired && !isTainted
            && PQtransactionStatus(pointer) == PQTRANS_IDLE
    }

    /// Lends the open session where optional chaining leads to it.
    mutating func perform<R>(_ body: (inout Session) -> R) -> R {
        body(&self)
    }

    /// Sends the call's statements and their Sync, as far as the socket takes them.
    mutating func send(_ call: Call) {
        group += 1
        pending.append(Pending(call: call, deadline: call.deadline))
        for statement in call.statements {
            guard send(statement) else {
                defect = lastError("a statement could not be sent")
                return
            }
        }
        guard PQpipelineSync(pointer) == 1 else {
            defect = lastError("a Sync could not be sent")
            return
        }
        steps.append(.sync)
    }

    /// Pushes what libpq holds towards the socket.
    mutating func flush() {
        let outcome = PQflush(pointer)
        wantsWrite = outcome == 1
        if outcome < 0 { defect = defect ?? lastError("the connection cannot be written to") }
    }

    /// Statements that made room for others are forgotten by the server too, in a group of their own.
    mutating func sendDiscarded(deadline: Int64) {
        guard !statements.discarded.isEmpty else { return }
        let names = statements.takeDiscarded()
        for name in names {
            send(Call([SQL(stringLiteral: "DEALLOCATE \(name)")], deadline: deadline))
        }
    }

    private mutating func send(_ statement: SQL) -> Bool {
        // DEALLOCATE and its like are not worth a name of their own.
        let plan: StatementCache.Plan =
            statement.isUtility || statement.isPlannedForItsValues
            ? .sendUnnamed : statements.plan(for: statement.text, group: group)
        switch plan {
        case .execute(let entry):
            guard execute(entry, statement.parameters) else { return false }
            steps.append(.execute(entry))
        case .prepareAndExecute(let entry):
            let isSent = entry.name.withCString { name in
                statement.text.withCString { PQsendPrepare(pointer, name, $0, 0, nil) }
            }
            guard isSent == 1 else { return false }
            steps.append(.prepare(entry))
            guard execute(entry, statement.parameters) else { return false }
            steps.append(.execute(entry))
        case .sendUnnamed:
            let pointer = pointer
            let isSent = withValues(statement.parameters) { count, values in
                statement.text.withCString { PQsendQueryParams(pointer, $0, count, nil, values, nil, nil, 0) }
            }
            guard isSent == 1 else { return false }
            steps.append(.execute(nil))
        }
        return true
    }

    private mutating func execute(_ entry: StatementCache.Entry, _ parameters: [PostgresParameter]) -> Bool {
        let pointer = pointer
        return withValues(parameters) { count, values in
            entry.name.withCString { PQsendQueryPrepared(pointer, $0, count, values, nil, nil, 0) }
        } == 1
    }

    /// Lends the values as C strings, laid one after another into a buffer that is kept.
    private mutating func withValues<R>(
        _ parameters: [PostgresParameter],
        _ body: (Int32, UnsafePointer<UnsafePointer<CChar>?>?) -> R
    ) -> R {
        guard !parameters.isEmpty else { return body(0, nil) }
        scratch.removeAll(keepingCapacity: true)
        offsets.removeAll(keepingCapacity: true)
        for parameter in parameters {
            guard var text = parameter.text else {
                offsets.append(-1)
                continue
            }
            offsets.append(scratch.count)
            text.withUTF8 { scratch.append(contentsOf: $0) }
            scratch.append(0)
        }
        let offsets = offsets
        // A rare large value should not be remembered by every connection that has carried one.
        defer { if scratch.count > 1 << 20 { scratch = [] } }
        return scratch.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: offsets.count) { values in
                for (index, offset) in offsets.enumerated() {
                    let start = offset < 0 ? nil : bytes.baseAddress?.advanced(by: offset)
                    values.initializeElement(at: index, to: start?.assumingMemoryBound(to: CChar.self))
                }
                return body(Int32(offsets.count), UnsafePointer(values.baseAddress))
            }
        }
    }

    func lastError(_ what: String) -> PostgresError {
        let text = PQerrorMessage(pointer).map { String(cString: $0) } ?? ""
        return PostgresError(.connection, text.isEmpty ? what : text.trimmed)
    }
}

extension SQL {
    /// Statements that cannot be planned and hardly repeat.
    fileprivate var isUtility: Bool { text.hasPrefix("DEALLOCATE ") || text.hasPrefix("DISCARD ") }
}

extension String {
    /// Without the line feed that ends libpq's messages.
    var trimmed: String {
        var text = self[...]
        while let last = text.last, last.isWhitespace { text = text.dropLast() }
        return String(text)
    }
}

/// Asks the server to stop what a connection is doing, over a connection of its own.
///
/// Safe to share though the compiler cannot see it: libpq fills a `PGcancel` once and documents `PQcancel` as safe from
/// any thread; it is freed in `deinit` alone.
final class Canceller: @unchecked Sendable {
    private let pointer: OpaquePointer

    init?(_ connection: OpaquePointer) {
        guard let pointer = PQgetCancel(connection) else { return nil }
        self.pointer = pointer
    }

    deinit { PQfreeCancel(pointer) }

    /// Blocks for a round trip, or for as long as the network keeps it waiting: only for a thread of its own.
    func cancel() {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { message in
            _ = PQcancel(pointer, message.baseAddress, Int32(message.count))
        }
    }
}
