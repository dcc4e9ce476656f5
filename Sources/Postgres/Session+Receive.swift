import CPostgres

extension Session {
    /// What the poller carries out after it has left the connection's lock.
    struct Outcome: Sendable {
        var answers: [(call: Call, answer: Call.Answer)] = []
        var notifications: [(channel: String, payload: String)] = []
        /// The connection is of no more use.
        var defect: PostgresError?
    }

    /// Takes what the socket holds and answers every call whose results are complete. Never blocks.
    mutating func receive(into outcome: inout Outcome) {
        let isAlive = PQconsumeInput(pointer) == 1
        // An error that the server sent before it closed the connection is in the buffer and says more than the close.
        if mode == .pipeline { receivePipeline(into: &outcome) } else { receiveExchange(into: &outcome) }
        while let notification = PQnotifies(pointer) {
            outcome.notifications.append(
                (
                    channel: String(cString: notification.pointee.relname),
                    payload: notification.pointee.extra.map { String(cString: $0) } ?? ""
                )
            )
            PQfreemem(notification)
        }
        if wantsWrite { flush() }
        if !isAlive || PQstatus(pointer) == CONNECTION_BAD {
            defect = defect ?? lastError("the server closed the connection")
        }
        if isShared, pending.isEmpty, PQtransactionStatus(pointer).rawValue > PQTRANS_ACTIVE.rawValue {
            defect = defect ?? PostgresError(.connection, "a transaction was left open on a shared connection")
        }
        if mode == .copying, !wantsWrite { answerHead(.success([]), into: &outcome) }
        outcome.defect = defect
    }

    private mutating func receivePipeline(into outcome: inout Outcome) {
        var nulls = 0
        // Asked even when nothing is owed: it parses notices and notifications.
        while PQisBusy(pointer) == 0, let step = steps.first, defect == nil {
            guard let result = PQgetResult(pointer) else {
                if awaitsNull {
                    awaitsNull = false
                    nulls = 0
                    // A deferred constraint fails at the Sync, whose own result is still to come then.
                    if case .sync = step { continue }
                    _ = steps.popFirst()
                } else {
                    nulls += 1
                    if nulls > 1 { defect = PostgresError(.connection, "libpq owes no result where one is expected") }
                }
                continue
            }
            nulls = 0
            receive(result, of: step, into: &outcome)
        }
    }

    private mutating func receive(_ result: OpaquePointer, of step: Step, into outcome: inout Outcome) {
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            awaitsNull = true
            switch step {
            case .prepare(let entry):
                entry.isConfirmed = true
                PQclear(result)
            case .execute:
                received.append(PostgresRows(QueryResult(result)))
            case .sync:
                PQclear(result)
                defect = PostgresError(.connection, "libpq sent rows where a Sync is expected")
            }
        case PGRES_PIPELINE_SYNC:
            PQclear(result)
            _ = steps.popFirst()
            let answer: Call.Answer = failure.map { .failure($0) } ?? .success(received)
            answerHead(answer, into: &outcome)
        case PGRES_PIPELINE_ABORTED:
            awaitsNull = true
            PQclear(result)
            if case .prepare(let entry) = step { statements.forget(entry) }
        case PGRES_FATAL_ERROR:
            awaitsNull = true
            let error = PostgresError(result: result)
            PQclear(result)
            failure = failure ?? error
            switch step {
            case .prepare(let entry): statements.forget(entry)
            case .execute(let entry?) where error.spoilsPreparedStatement: statements.discard(entry)
            case .execute, .sync: break
            }
        default:
            PQclear(result)
            defect = PostgresError(.connection, "COPY runs only through copyIn; the connection was dropped")
        }
    }

    private mutating func receiveExchange(into outcome: inout Outcome) {
        while mode != .copying, mode != .pipeline, PQisBusy(pointer) == 0, defect == nil {
            guard let result = PQgetResult(pointer) else {
                endExchange(into: &outcome)
                return
            }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
                received.append(PostgresRows(QueryResult(result)))
            case PGRES_FATAL_ERROR:
                failure = failure ?? PostgresError(result: result)
                PQclear(result)
            case PGRES_COPY_IN where mode == .copyBeginning:
                PQclear(result)
                mode = .copying
                answerHead(.success([]), into: &outcome)
            default:
                PQclear(result)
                defect = PostgresError(.connection, "COPY runs only through copyIn; the connection was dropped")
            }
        }
    }

    private mutating func endExchange(into outcome: inout Outcome) {
        mode = .pipeline
        if PQenterPipelineMode(pointer) != 1 { defect = lastError("pipeline mode is refused") }
        answerHead(failure.map { .failure($0) } ?? .success(received), into: &outcome)
    }

    /// Gives the call at the head its answer, if there is one, and makes ready for the next.
    private mutating func answerHead(_ answer: Call.Answer, into outcome: inout Outcome) {
        received = []
        failure = nil
        guard let head = pending.popFirst() else { return }
        outcome.answers.append((head.call, head.resolve(answer)))
    }

    /// Ends the session: every call in flight gets the error, the head that of the server where it sent one.
    mutating func finish(_ error: PostgresError, into outcome: inout Outcome) {
        while let head = pending.popFirst() {
            outcome.answers.append((head.call, head.resolve(.failure(failure ?? error))))
            failure = nil
        }
        PQfinish(pointer)
    }
}

extension Session.Pending {
    /// What the server calls a cancelled statement is our timeout or the caller's cancellation when we asked for it.
    fileprivate func resolve(_ answer: Call.Answer) -> Call.Answer {
        guard let interruption, case .failure(let error) = answer else { return answer }
        return .failure(error.with(kind: interruption))
    }
}

extension PostgresError {
    init(result: OpaquePointer) {
        func field(_ code: Unicode.Scalar) -> String? {
            PQresultErrorField(result, Int32(code.value)).map { String(cString: $0) }
        }
        // The letters are PG_DIAG_… of libpq's postgres_ext.h, whose character constants Swift does not import.
        let sqlState = field("C")
        let text = field("M") ?? PQresultErrorMessage(result).map { String(cString: $0) } ?? "unknown error"
        // No code: libpq made the error itself, because the connection broke. 57014: statement_timeout.
        let kind: Kind = sqlState == nil ? .connection : sqlState == "57014" ? .timeout : .server
        self.init(
            kind,
            text.trimmed,
            sqlState: sqlState,
            constraint: field("n"),
            table: field("t"),
            column: field("c"),
            detail: field("D")
        )
    }

    /// "cached plan must not change result type", or the statement is unknown: preparing it anew helps.
    fileprivate var spoilsPreparedStatement: Bool {
        sqlState == "26000" || (sqlState == "0A000" && message.contains("cached plan"))
    }
}
