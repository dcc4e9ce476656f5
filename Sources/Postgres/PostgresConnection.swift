import CPostgres
import Synchronization

/// A connection that one task has to itself while the body it was passed to runs; afterwards every call fails.
///
/// Cancelling the task cancels the statement on the server. Calls may overlap; they run in the order they were made.
package final class PostgresConnection: Sendable {
    private let lent: Mutex<Link?>
    private let engine: Engine
    /// When the transaction ends at the latest.
    private let deadline: Int64
    /// What the server was told to grant a statement here, when that is not the configured limit.
    private let limit: Duration?

    init(_ link: Link, engine: Engine, deadline: Int64, limit: Duration?) {
        self.lent = Mutex(link)
        self.engine = engine
        self.deadline = deadline
        self.limit = limit
    }

    /// Runs one statement.
    ///
    /// - Parameters:
    ///   - statement: What to run; COPY has a method of its own.
    ///   - timeout: How long it may take, when that is to be shorter than what the server grants it.
    /// - Returns: Its rows; ``PostgresRows/affected`` counts those it changed.
    /// - Throws: The server's error, after which a transaction is of no more use; ``PostgresError/Kind/timeout``;
    ///   ``PostgresError/Kind/cancelled``; ``PostgresError/Kind/connection``.
    package func query(_ statement: SQL, timeout: Duration? = nil) async throws(PostgresError) -> PostgresRows {
        try await run([statement], timeout: timeout)[0]
    }

    /// Runs the statements in one round trip; the first that fails keeps those behind it from running and is thrown.
    package func run(_ statements: [SQL], timeout: Duration? = nil) async throws(PostgresError) -> [PostgresRows] {
        guard !statements.isEmpty else { return [] }
        let call = Call(statements, deadline: callDeadline(timeout))
        if let fault = call.fault { throw fault }
        return try await perform(call) { $0.submit(call) }
    }

    /// Runs a script of statements separated by semicolons, without parameters and in one implicit transaction unless
    /// it says otherwise.
    ///
    /// - Returns: What each statement returned, in order.
    @discardableResult
    package func simple(_ text: String, timeout: Duration? = nil) async throws(PostgresError) -> [PostgresRows] {
        let call = Call([SQL(stringLiteral: text)], deadline: callDeadline(timeout))
        if let fault = call.fault { throw fault }
        return try await perform(call) { link in
            link.submitExchange(call, mode: .script) { PQsendQuery($0, text) == 1 }
        }
    }

    /// Runs `COPY … FROM STDIN` with the bytes of all chunks; where they are cut means nothing.
    ///
    /// - Returns: The number of rows copied.
    /// - Throws: What the sequence throws, and nothing is copied then; otherwise as ``query(_:timeout:)``.
    package func copyIn<Chunks: AsyncSequence>(
        _ statement: SQL,
        _ chunks: Chunks
    ) async throws -> Int where Chunks.Element == [UInt8] {
        guard statement.parameters.isEmpty else {
            throw PostgresError(.server, "COPY takes no parameters", sqlState: "42601")
        }
        let text = statement.text
        let beginning = Call([statement], deadline: callDeadline(nil))
        if let fault = beginning.fault { throw fault }
        _ = try await perform(beginning) { link in
            link.submitExchange(beginning, mode: .copyBeginning) { PQsendQuery($0, text) == 1 }
        }
        do {
            for try await chunk in chunks {
                guard !Task.isCancelled else { throw Link.cancelled }
                try await put(chunk)
            }
            // A stream may end because of the cancellation, and half the rows would be taken for all.
            guard !Task.isCancelled else { throw Link.cancelled }
        } catch {
            // Its error is the one we asked for; a connection that broke will be seen when it is given back.
            _ = try? await endCopy(because: "the client gave up")
            throw error
        }
        return try await endCopy(because: nil)
    }

    private func put(_ chunk: [UInt8]) async throws(PostgresError) {
        let drained = Call([], deadline: callDeadline(nil))
        guard let link = lent.withLock({ $0 }) else { throw Self.ended }
        guard let isTaken = link.put(chunk, drained: drained) else { throw Self.lost }
        if !isTaken { _ = try await drained.wait().get() }
    }

    private func endCopy(because reason: String?) async throws(PostgresError) -> Int {
        let ending = Call([], deadline: callDeadline(nil))
        guard let link = lent.withLock({ $0 }) else { throw Self.ended }
        guard link.endCopy(ending, because: reason) else { throw Self.lost }
        let answer = await withTaskCancellationHandler {
            await ending.wait()
        } onCancel: {
            if reason == nil { link.cancel(ending) }
        }
        return try answer.get().first?.affected ?? 0
    }

    /// Runs what must be heard to the end even though the task is cancelled or the transaction's time is up.
    func runUninterrupted(_ statements: [SQL]) async throws(PostgresError) -> [PostgresRows] {
        let call = Call(statements, deadline: engine.deadline(nil))
        guard let link = lent.withLock({ $0 }) else { throw Self.ended }
        guard link.submit(call) else { throw Self.lost }
        return try await call.wait().get()
    }

    /// Takes the link away for good.
    func end() -> Link? {
        lent.withLock { $0.take() }
    }

    private func perform(_ call: Call, _ submit: (Link) -> Bool) async throws(PostgresError) -> [PostgresRows] {
        guard let link = lent.withLock({ $0 }) else { throw Self.ended }
        guard !Task.isCancelled else { throw Link.cancelled }
        guard call.deadline > Monotonic.now() else {
            throw PostgresError(.timeout, "the time of the transaction is up")
        }
        guard submit(link) else { throw Self.lost }
        let answer = await withTaskCancellationHandler {
            await call.wait()
        } onCancel: {
            link.cancel(call)
        }
        return try answer.get()
    }

    private func callDeadline(_ timeout: Duration?) -> Int64 {
        if let timeout { return min(deadline, Monotonic.after(timeout)) }
        guard let limit else { return min(deadline, engine.deadline(nil)) }
        return limit == .zero ? deadline : min(deadline, Monotonic.after(limit + Engine.grace))
    }

    private static let ended = PostgresError(.connection, "the connection is used after the body it was lent to")
    private static let lost = PostgresError(.connection, "the connection was lost")
}

extension Link {
    /// Forgets everything that was set in the session, and sets what every session has.
    fileprivate func sendReset(_ session: inout Session, _ call: Call) {
        session.send(Call(["DISCARD ALL"], deadline: call.deadline))
        session.statements.reset()
        session.send(call)
    }

    /// - Returns: Whether the call will be answered.
    func submitReset(_ call: Call) -> Bool {
        exchange { session in
            guard session.isClean else { return false }
            sendReset(&session, call)
            session.flush()
            return true
        } ?? false
    }

    /// Hands a chunk of a COPY over.
    ///
    /// - Returns: Whether the socket took it all; otherwise `drained` will be answered once it has. `nil` when there is
    ///   no COPY any more.
    func put(_ chunk: [UInt8], drained: Call) -> Bool? {
        exchange { session -> Bool? in
            guard session.mode == .copying, session.defect == nil, session.pending.isEmpty else { return nil }
            let isTaken = chunk.withUnsafeBytes { bytes in
                bytes.isEmpty ? 1 : PQputCopyData(session.pointer, bytes.baseAddress, Int32(clamping: bytes.count))
            }
            guard isTaken == 1 else {
                session.defect = session.lastError("the data could not be sent")
                return nil
            }
            session.flush()
            if session.wantsWrite {
                session.pending.append(Session.Pending(call: drained, deadline: drained.deadline))
            }
            return !session.wantsWrite
        } ?? nil
    }

    /// Ends a COPY, or breaks it off for the reason given.
    func endCopy(_ ending: Call, because reason: String?) -> Bool {
        let isSent =
            exchange { session in
                guard session.mode == .copying, session.defect == nil, session.pending.isEmpty else { return false }
                session.pending.append(Session.Pending(call: ending, deadline: ending.deadline))
                session.mode = .copyEnding
                if PQputCopyEnd(session.pointer, reason) != 1 {
                    session.defect = session.lastError("COPY could not be ended")
                }
                session.flush()
                return true
            } ?? false
        // The server's error may have been read before; then no further byte may come.
        if isSent { attend() }
        return isSent
    }
}
