package import Logging
import Synchronization

/// A client of one PostgreSQL database.
///
/// Short statements travel over a few connections that all tasks share (``query(_:timeout:)``), transactions and
/// whatever takes longer over pooled ones that a task has to itself (``transaction(opening:timeout:_:)``,
/// ``withConnection(statementTimeout:_:)``), notifications over one more (``listen(_:)``). Connections are opened when
/// they are first needed and replaced when they are lost: after a restart of the server everything works again by
/// itself, while statements that were in flight fail with ``PostgresError/isUnavailable``. One thread awaits all the
/// sockets.
package final class Postgres: Sendable {
    let engine: Engine
    private let pipelines: Pipelines
    let pool: Pool
    private let listener: Listener

    /// How long a client that shuts down waits for what is in flight.
    private static let farewell: Duration = .seconds(5)

    package init(_ configuration: PostgresConfiguration, logger: Logger) {
        engine = Engine(configuration: configuration, logger: logger)
        pipelines = Pipelines(engine)
        pool = Pool(engine)
        listener = Listener(engine)
        engine.poller.start([pipelines, pool, listener])
    }

    deinit {
        engine.poller.end(at: 0)
    }

    /// Refuses new calls, lets those in flight end (at most 5 s) and closes every connection. May be called repeatedly.
    package func shutdown() async {
        let error = PostgresError(.connection, "the client was shut down")
        pipelines.stop(error)
        pool.stop(error)
        listener.stop(error)
        engine.poller.end(at: Monotonic.after(Self.farewell))
        await engine.poller.awaitEnd()
    }

    /// Runs one statement on a shared connection.
    ///
    /// Meant for what the server does in milliseconds: whatever was sent behind it on its connection waits for it.
    ///
    /// - Parameters:
    ///   - statement: No BEGIN, COMMIT or COPY.
    ///   - timeout: How long the caller waits, when that is to be shorter than the server's `statementTimeout`. The
    ///     statement may still take effect afterwards.
    /// - Returns: Its rows; ``PostgresRows/affected`` counts those it changed.
    /// - Throws: The server's error; ``PostgresError/Kind/connection`` when none is to be had, or it was lost and the
    ///   outcome is unknown; ``PostgresError/Kind/timeout``; ``PostgresError/Kind/cancelled`` at once when the task is
    ///   cancelled, with the statement going on.
    package func query(_ statement: SQL, timeout: Duration? = nil) async throws(PostgresError) -> PostgresRows {
        try await run([statement], timeout: timeout)[0]
    }

    /// Runs the statements in one round trip and one implicit transaction: the first that fails undoes those before it,
    /// keeps those behind it from running, and is thrown. No BEGIN or COMMIT among them. Otherwise as
    /// ``query(_:timeout:)``.
    ///
    /// - Returns: What each statement returned, in order.
    package func run(_ statements: [SQL], timeout: Duration? = nil) async throws(PostgresError) -> [PostgresRows] {
        guard !statements.isEmpty else { return [] }
        guard !Task.isCancelled else { throw Link.cancelled }
        let call = Call(statements, deadline: engine.deadline(timeout))
        if let fault = call.fault { throw fault }
        pipelines.submit([call])
        let answer = await withTaskCancellationHandler {
            await call.wait()
        } onCancel: {
            call.answer(.failure(Link.cancelled))
        }
        return try answer.get()
    }

    /// Runs many groups in one round trip, each in an implicit transaction of its own as ``run(_:timeout:)`` does.
    ///
    /// - Returns: Of each group, in order, what its statements returned or why it failed, which is only its own failure.
    package func run(
        groups: [[SQL]],
        timeout: Duration? = nil
    ) async -> [Result<[PostgresRows], PostgresError>] {
        guard !Task.isCancelled else { return groups.map { _ in .failure(Link.cancelled) } }
        let deadline = engine.deadline(timeout)
        let calls = groups.map { Call($0, deadline: deadline) }
        for call in calls {
            if let fault = call.fault {
                call.answer(.failure(fault))
            } else if call.statements.isEmpty {
                call.answer(.success([]))
            }
        }
        let sendable = calls.filter { !$0.isAnswered }
        if !sendable.isEmpty { pipelines.submit(sendable) }
        return await withTaskCancellationHandler {
            var answers: [Call.Answer] = []
            answers.reserveCapacity(calls.count)
            for call in calls { answers.append(await call.wait()) }
            return answers
        } onCancel: {
            for call in calls { call.answer(.failure(Link.cancelled)) }
        }
    }

    /// Notifications on the channels, over a connection that listens for all subscribers together.
    ///
    /// The stream begins with ``PostgresNotification/reconnected`` once listening has taken effect, and yields it again
    /// after every gap. It ends when the client is shut down; whoever stops reading it unsubscribes.
    package func listen(_ channels: [String]) -> AsyncStream<PostgresNotification> {
        listener.subscribe(Set(channels))
    }

    package var statistics: PostgresStatistics {
        var statistics = PostgresStatistics()
        pipelines.addStatistics(to: &statistics)
        pool.addStatistics(to: &statistics)
        statistics.calls = engine.calls.load(ordering: .relaxed)
        statistics.failures = engine.failures.load(ordering: .relaxed)
        statistics.connects = engine.connects.load(ordering: .relaxed)
        statistics.losses = engine.losses.load(ordering: .relaxed)
        return statistics
    }
}
