import Foundation
import Synchronization
import Testing

@testable import Postgres

@Suite(.serialized) struct PostgresTransactionTests {
    private struct Mishap: Error {}

    private func count(_ postgres: Postgres, _ table: SQL) async throws -> Int {
        try await postgres.query("SELECT count(*) AS n FROM \(raw: table)")[0].get("n")
    }

    @Test func commitsWhenTheBodyReturns() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int") { table in
                let sum: Int = try await postgres.transaction { connection in
                    _ = try await connection.query("INSERT INTO \(raw: table) VALUES (\(1))")
                    let rows = try await connection.run([
                        "INSERT INTO \(raw: table) VALUES (\(2))",
                        "SELECT sum(n) AS sum FROM \(raw: table)",
                    ])
                    let outside = try await count(postgres, table)
                    #expect(outside == 0)
                    return try rows[1][0].get("sum", as: Int.self)
                }

                #expect(sum == 3)
                let rows = try await count(postgres, table)
                #expect(rows == 2)
                #expect(postgres.statistics.busy == 0)
            }
        }
    }

    @Test func rollsBackWhenTheBodyThrows() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int") { table in
                await #expect(throws: Mishap.self) {
                    try await postgres.transaction { connection in
                        _ = try await connection.query("INSERT INTO \(raw: table) VALUES (1)")
                        throw Mishap()
                    }
                }

                let rows = try await count(postgres, table)
                #expect(rows == 0)
                #expect(postgres.statistics.losses == 0)
            }
        }
    }

    @Test func opensWithItsStatementsInTheTransaction() async throws {
        try await World.with {
            $0.pooledConnections = 1
        } _: { postgres in
            let inside = try await postgres.transaction(opening: ["SELECT set_config('app.org_id', \("7"), true)"]) {
                try await $0.query("SELECT current_setting('app.org_id') AS org")[0].get("org", as: String.self)
            }
            let after = try await postgres.transaction {
                try await $0.query("SELECT nullif(current_setting('app.org_id', true), '') AS org")[0]
                    .optional("org", as: String.self)
            }

            #expect(inside == "7")
            #expect(after == nil)
        }
    }

    @Test func throwsWhatAnOpeningStatementThrows() async throws {
        try await World.with {
            $0.pooledConnections = 1
        } _: { postgres in
            let isRun = Mutex(false)

            let error = await failure {
                try await postgres.transaction(opening: ["SELECT 1/0"]) { _ in isRun.withLock { $0 = true } }
            }
            let next = try await postgres.transaction { try await $0.query("SELECT 1").count }

            #expect(error?.sqlState == "22012")
            #expect(!isRun.withLock { $0 })
            #expect(next == 1)
            #expect(postgres.statistics.losses == 0)
        }
    }

    @Test func refusesToCommitWhatFailedUnnoticed() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int") { table in
                let error = await failure {
                    try await postgres.transaction { connection in
                        _ = try await connection.query("INSERT INTO \(raw: table) VALUES (1)")
                        _ = try? await connection.query("SELECT 1/0")
                    }
                }

                #expect(error?.sqlState == "25P02")
                let rows = try await count(postgres, table)
                #expect(rows == 0)
            }
        }
    }

    @Test func throwsWhatCommitRefuses() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int UNIQUE DEFERRABLE INITIALLY DEFERRED") { table in
                let error = await failure {
                    try await postgres.transaction { connection in
                        _ = try await connection.query("INSERT INTO \(raw: table) VALUES (1), (1)")
                    }
                }

                #expect(error?.kind == .server && error?.sqlState == "23505")
                let rows = try await count(postgres, table)
                #expect(rows == 0)
            }
        }
    }

    @Test func saysThatTheOutcomeOfALostCommitIsUnknown() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int") { table in
                // The trigger runs at COMMIT and ends the very connection.
                let error = await failure {
                    try await postgres.transaction { connection in
                        _ = try await connection.query(
                            """
                            CREATE FUNCTION pg_temp.die() RETURNS trigger LANGUAGE plpgsql AS
                            $$ BEGIN
                                PERFORM pg_terminate_backend(pg_backend_pid());
                                PERFORM pg_sleep(1);
                                RETURN NULL;
                            END $$
                            """
                        )
                        _ = try await connection.query(
                            """
                            CREATE CONSTRAINT TRIGGER die AFTER INSERT ON \(raw: table) DEFERRABLE INITIALLY DEFERRED
                            FOR EACH ROW EXECUTE FUNCTION pg_temp.die()
                            """
                        )
                        _ = try await connection.query("INSERT INTO \(raw: table) VALUES (1)")
                    }
                }

                #expect(error?.kind == .connection)
                #expect(error?.message.contains("unknown") == true)
                #expect(error?.isUnavailable == true)
            }
        }
    }

    @Test func cancelsTheStatementOfACancelledTask() async throws {
        try await World.with {
            $0.statementTimeout = .seconds(60)
        } _: { postgres in
            try await World.withTable(postgres, "n int") { table in
                try await World.blocking { block in
                    let sleeping: SQL =
                        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory' AND query = \(block.text)"
                    let task = Task {
                        try await postgres.transaction { connection in
                            _ = try await connection.query("INSERT INTO \(raw: table) VALUES (1)")
                            _ = try await connection.query(block)
                        }
                    }
                    let began = try await World.eventually { try await postgres.query(sleeping).count == 1 }

                    task.cancel()
                    let error = await failure { try await task.value }
                    let isLeft = try await postgres.query(sleeping).count > 0

                    #expect(began && !isLeft)
                    #expect(error?.kind == .cancelled)
                    #expect(postgres.statistics.busy == 0)
                }
                let rows = try await count(postgres, table)
                #expect(rows == 0)
            }
        }
    }

    @Test func sendsNothingForATaskThatIsCancelledAlready() async throws {
        try await World.with { postgres in
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                let query = await failure { try await postgres.query("SELECT 1") }
                let transaction = await failure { try await postgres.transaction { _ in } }
                return [query?.kind, transaction?.kind]
            }

            #expect(await task.value == [.cancelled, .cancelled])
        }
    }

    @Test func commitsWhatWasDoneThoughTheTaskIsCancelledAtTheEnd() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int") { table in
                let task = Task {
                    try await postgres.transaction { connection in
                        _ = try await connection.query("INSERT INTO \(raw: table) VALUES (1)")
                        withUnsafeCurrentTask { $0?.cancel() }
                    }
                }
                try await task.value

                let rows = try await count(postgres, table)
                #expect(rows == 1)
            }
        }
    }

    @Test func endsATransactionWhoseTimeIsUp() async throws {
        try await World.with {
            $0.statementTimeout = .seconds(60)
        } _: { postgres in
            _ = try await postgres.transaction { try await $0.query("SELECT 1") }
            try await World.blocking { block in
                let between = await failure {
                    try await postgres.transaction(timeout: .milliseconds(300)) { connection in
                        try await Task.sleep(for: .milliseconds(400))
                        _ = try await connection.query("SELECT 1")
                    }
                }
                let running = await failure {
                    try await postgres.transaction(timeout: .milliseconds(300)) { try await $0.query(block) }
                }
                let single = await failure {
                    try await postgres.transaction { try await $0.query(block, timeout: .milliseconds(100)) }
                }

                #expect([between?.kind, running?.kind, single?.kind] == [.timeout, .timeout, .timeout])
            }
            let next = try await postgres.transaction { try await $0.query("SELECT 1").count }
            #expect(next == 1)
        }
    }

    @Test func grantsATransactionMoreThanTheConfiguredTime() async throws {
        try await World.with {
            $0.statementTimeout = .milliseconds(200)
        } _: { postgres in
            let long = try await postgres.transaction(timeout: .seconds(60)) {
                try await $0.query("SELECT 1 FROM pg_sleep(0.4)").count
            }
            let short = await failure {
                try await postgres.transaction { try await $0.query("SELECT 1 FROM pg_sleep(0.4)").count }
            }

            #expect(long == 1)
            #expect(short?.kind == .timeout && short?.sqlState == "57014")
        }
    }

    /// Runs the body while this many transactions keep a connection each.
    private func occupying(_ count: Int, of postgres: Postgres, _ body: () async throws -> Void) async throws {
        let (ends, end) = AsyncStream.makeStream(of: Never.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<count {
                group.addTask {
                    try await postgres.transaction { connection in
                        _ = try await connection.query("SELECT 1")
                        for await _ in ends {}
                    }
                }
            }
            _ = try await World.eventually { postgres.statistics.busy == count }
            try await body()
            end.finish()
            try await group.waitForAll()
        }
    }

    @Test func letsTheLastOnesInLineWaitNoLongerThanTheTimeToConnect() async throws {
        try await World.with {
            $0.pooledConnections = 2
            $0.connectTimeout = .seconds(1)
        } _: { postgres in
            try await occupying(2, of: postgres) {
                let kinds = await withTaskGroup(of: PostgresError.Kind?.self) { group in
                    for _ in 0..<4 {
                        group.addTask { await failure { try await postgres.transaction { _ in } }?.kind }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }

                #expect(kinds == [.poolExhausted, .poolExhausted, .poolExhausted, .poolExhausted])
                #expect(postgres.statistics.waitingForPool == 0)
            }
        }
    }

    @Test func refusesWhoeverWouldMakeTheLineTooLong() async throws {
        try await World.with {
            $0.pooledConnections = 1
            $0.waitingLimit = 1
            $0.connectTimeout = .seconds(60)
        } _: { postgres in
            let waiting = Mutex<Task<Int, any Error>?>(nil)
            try await occupying(1, of: postgres) {
                let second = Task { try await postgres.transaction { try await $0.query("SELECT 1").count } }
                waiting.withLock { $0 = second }
                _ = try await World.eventually { postgres.statistics.waitingForPool == 1 }

                let third = await failure { try await postgres.transaction { _ in } }

                #expect(third?.kind == .poolExhausted && third?.isUnavailable == true)
            }
            let second = try await waiting.withLock { $0 }?.value
            #expect(second == 1)
        }
    }

    @Test func servesManyTransactionsWithFewConnections() async throws {
        try await World.with {
            $0.pooledConnections = 3
        } _: { postgres in
            try await World.withTable(postgres, "n int") { table in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<200 {
                        group.addTask {
                            try await postgres.transaction { connection in
                                _ = try await connection.query("INSERT INTO \(raw: table) VALUES (\(number))")
                            }
                        }
                    }
                    try await group.waitForAll()
                }

                let rows = try await count(postgres, table)
                #expect(rows == 200)
                #expect(postgres.statistics.pooled == 3)
            }
        }
    }

    private actor Ledger {
        var entries = 0

        func enter(_ postgres: Postgres) async throws {
            try await postgres.transaction { connection in
                entries += try await connection.query("SELECT 1").count
            }
        }
    }

    @Test func runsItsBodyWhereItsCallerRuns() async throws {
        try await World.with { postgres in
            let ledger = Ledger()

            try await ledger.enter(postgres)

            #expect(await ledger.entries == 1)
        }
    }

    @Test func refusesAConnectionKeptBeyondItsBody() async throws {
        try await World.with { postgres in
            let kept = try await postgres.transaction { $0 }

            let error = await failure { try await kept.query("SELECT 1") }

            #expect(error?.kind == .connection)
        }
    }
}
