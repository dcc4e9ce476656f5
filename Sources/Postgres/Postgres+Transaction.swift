extension Postgres {
    /// Runs the body in a transaction on a connection of its own: committed when it returns, rolled back when it
    /// throws.
    ///
    /// - Parameters:
    ///   - opening: Statements that go in the same round trip as BEGIN; their rows are dropped.
    ///   - timeout: For the whole transaction, the wait for a connection included; also what the server grants each
    ///     statement then. Without it every statement has the configured limit.
    ///   - body: Must not keep the connection. It runs once.
    /// - Returns: What the body returned, once it is committed.
    /// - Throws: What the body throws; the server's error; ``PostgresError/Kind/poolExhausted``;
    ///   ``PostgresError/Kind/connection`` when the connection was lost, in COMMIT with an unknown outcome. A body that
    ///   hides the failure of a statement and returns gets an error with the code `25P02`: nothing was committed.
    nonisolated(nonsending) package func transaction<T: Sendable>(
        opening: [SQL] = [],
        timeout: Duration? = nil,
        _ body: nonisolated(nonsending) (PostgresConnection) async throws -> T
    ) async throws -> T {
        let deadline = timeout.map(Monotonic.after) ?? Monotonic.never
        var first: [SQL] = ["BEGIN"]
        if let timeout {
            let milliseconds = String(max(1, timeout.milliseconds))
            first.append("SELECT set_config('statement_timeout', \(milliseconds), true)")
        }
        let connection = try await begin(first + opening, deadline: deadline, limit: timeout)
        let value: T
        do {
            value = try await body(connection)
        } catch {
            await rollback(connection)
            throw error
        }
        try await commit(connection)
        return value
    }

    /// Runs the body with a connection of its own and no transaction: scripts, COPY, session-wide locks.
    ///
    /// Whatever the body sets for the session is reset before another task gets the connection.
    ///
    /// - Parameters:
    ///   - statementTimeout: What the server grants each statement instead of the configured limit; zero is for ever.
    ///   - body: Must not keep the connection.
    /// - Returns: What the body returned.
    /// - Throws: What the body throws; ``PostgresError`` as ``transaction(opening:timeout:_:)`` does.
    nonisolated(nonsending) package func withConnection<T: Sendable>(
        statementTimeout: Duration? = nil,
        _ body: nonisolated(nonsending) (PostgresConnection) async throws -> T
    ) async throws -> T {
        let link = try await pool.borrow(until: Monotonic.never)
        let connection = PostgresConnection(link, engine: engine, deadline: Monotonic.never, limit: statementTimeout)
        do {
            if let statementTimeout {
                let milliseconds = String(statementTimeout.milliseconds)
                _ = try await connection.query("SELECT set_config('statement_timeout', \(milliseconds), false)")
            }
            let value = try await body(connection)
            await giveBackReset(connection)
            return value
        } catch {
            await giveBackReset(connection)
            throw error
        }
    }

    private func begin(
        _ statements: [SQL],
        deadline: Int64,
        limit: Duration?
    ) async throws(PostgresError) -> PostgresConnection {
        var isFirstAttempt = true
        while true {
            let link = try await pool.borrow(until: deadline)
            let connection = PostgresConnection(link, engine: engine, deadline: deadline, limit: limit)
            do throws(PostgresError) {
                _ = try await connection.run(statements)
                return connection
            } catch {
                await rollback(connection)
                // An idle connection may turn out to be dead. Nothing of this can have been committed, so it is safe to
                // begin again.
                guard isFirstAttempt, error.isUnavailable, !Task.isCancelled else { throw error }
                isFirstAttempt = false
            }
        }
    }

    private func commit(_ connection: PostgresConnection) async throws(PostgresError) {
        defer { giveBack(connection) }
        do throws(PostgresError) {
            let rows = try await connection.runUninterrupted(["COMMIT"])
            guard rows.first?.commandTag != "ROLLBACK" else {
                throw PostgresError(
                    .server,
                    "the transaction was rolled back, because a statement in it had failed",
                    sqlState: "25P02"
                )
            }
        } catch {
            guard error.kind != .server || error.isUnavailable else { throw error }
            throw PostgresError(
                .connection,
                "the outcome of COMMIT is unknown: \(error.message)",
                sqlState: error.sqlState
            )
        }
    }

    private func rollback(_ connection: PostgresConnection) async {
        // If it fails the connection is not clean and will be closed, which rolls back as well.
        _ = try? await connection.runUninterrupted(["ROLLBACK"])
        giveBack(connection)
    }

    private func giveBack(_ connection: PostgresConnection) {
        if let link = connection.end() { pool.giveBack(link) }
    }

    /// Makes the session as new. One that is amid a transaction is closed instead.
    private func giveBackReset(_ connection: PostgresConnection) async {
        guard let link = connection.end() else { return }
        if link.isClean {
            let call = Call([engine.sessionStatement], deadline: engine.deadline(nil))
            if link.submitReset(call), case .failure(let error) = await call.wait() { link.doom(error) }
        }
        pool.giveBack(link)
    }
}
