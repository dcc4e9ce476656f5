import Foundation
import Synchronization
import Testing

@testable import Postgres

@Suite(.serialized) struct PostgresTests {
    @Test func answersWithRows() async throws {
        try await World.with { postgres in
            let rows = try await postgres.query("SELECT n, 'row ' || n AS text FROM generate_series(1, \(3)::int) AS n")

            #expect(rows.count == 3)
            #expect(rows.affected == 3)
            #expect(rows.columns == ["n", "text"])
            #expect(rows.columnIndex("text") == 1)
            #expect(rows.columnIndex("TEXT") == nil)
            #expect(try rows.map { try $0.get("text", as: String.self) } == ["row 1", "row 2", "row 3"])
            #expect(try rows[2].get(0, as: Int.self) == 3)
            #expect(rows.withText(row: 0, column: 1) { $0.map { String(decoding: $0, as: UTF8.self) } } == "row 1")
        }
    }

    @Test func treatsWhatIsBoundAsData() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "name text") { table in
                let hostile = "'); DROP TABLE \(table.text); --"

                let inserted = try await postgres.query("INSERT INTO \(raw: table) VALUES (\(hostile))")
                let names = try await postgres.query("SELECT name FROM \(raw: table)")

                #expect(inserted.affected == 1)
                #expect(try names[0].get("name", as: String.self) == hostile)
            }
        }
    }

    @Test(arguments: [true, false])
    func pairsAThousandConcurrentAnswersWithTheirQuestions(_ prepare: Bool) async throws {
        try await World.with {
            $0.prepare = prepare
        } _: { postgres in
            let mismatches = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<1000 {
                    group.addTask {
                        let rows: PostgresRows
                        switch number % 4 {
                        case 0: rows = try await postgres.query("SELECT \(number)::int AS n")
                        case 1: rows = try await postgres.query("SELECT \(number)::int AS n, repeat('x', 5000)")
                        case 2:
                            let both = try await postgres.run(["SELECT 1/1", "SELECT \(number)::int AS n"])
                            rows = both[1]
                        default:
                            let error = await failure { try await postgres.query("SELECT \(number)::int / 0") }
                            if error?.sqlState != "22012" { return 1 }
                            rows = try await postgres.query("SELECT \(number)::int AS n")
                        }
                        return try rows[0].get("n", as: Int.self) == number ? 0 : 1
                    }
                }
                return try await group.reduce(0, +)
            }

            #expect(mismatches == 0)
            #expect(postgres.statistics.inFlight == 0)
            #expect(postgres.statistics.losses == 0)
        }
    }

    @Test func carriesLargeValuesBothWays() async throws {
        try await World.with { postgres in
            let large = String(repeating: "grün ", count: 200_000)

            let back = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        try await postgres.query("SELECT \(large)::text AS x")[0].get("x", as: String.self) == large
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }

            #expect(back == [true, true, true, true])
        }
    }

    @Test func saysWhatTheServerRefused() async throws {
        try await World.with { postgres in
            try await World.withTable(
                postgres,
                "id int PRIMARY KEY, n int CONSTRAINT positive CHECK (n > 0), s text NOT NULL"
            ) { table in
                _ = try await postgres.query("INSERT INTO \(raw: table) VALUES (1, 1, 'a')")

                let unique = await failure { try await postgres.query("INSERT INTO \(raw: table) VALUES (1, 1, 'a')") }
                let check = await failure { try await postgres.query("INSERT INTO \(raw: table) VALUES (2, 0, 'a')") }
                let null = await failure { try await postgres.query("INSERT INTO \(raw: table) VALUES (3, 1, NULL)") }
                let syntax = await failure { try await postgres.query("SELEC 1") }

                #expect(unique?.kind == .server && unique?.sqlState == "23505" && unique?.isConflict == true)
                #expect(unique?.constraint?.hasSuffix("_pkey") == true)
                #expect(unique?.detail?.contains("already exists") == true)
                #expect(unique.map { "\"\($0.table ?? "")\"" } == table.text)
                #expect(check?.constraint == "positive" && check?.sqlState == "23514")
                #expect(null?.column == "s" && null?.sqlState == "23502")
                #expect(syntax?.sqlState == "42601" && syntax?.isUnavailable == false)
            }
        }
    }

    @Test func undoesAllStatementsOfARunWhenOneFails() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int PRIMARY KEY") { table in
                let error = await failure {
                    try await postgres.run([
                        "INSERT INTO \(raw: table) VALUES (1)",
                        "INSERT INTO \(raw: table) VALUES (1)",
                        "INSERT INTO \(raw: table) VALUES (2)",
                    ])
                }
                let count = try await postgres.query("SELECT count(*) AS n FROM \(raw: table)")

                #expect(error?.sqlState == "23505")
                #expect(try count[0].get("n", as: Int.self) == 0)
            }
        }
    }

    @Test func setsLocallyForTheStatementsBehindItOnly() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
        } _: { postgres in
            let rows = try await postgres.run([
                "SELECT set_config('app.org_id', \("7"), true)",
                "SELECT current_setting('app.org_id', true) AS org",
            ])
            let later = try await postgres.query("SELECT nullif(current_setting('app.org_id', true), '') AS org")

            #expect(try rows[1][0].get("org", as: String.self) == "7")
            #expect(try later[0].optional("org", as: String.self) == nil)
        }
    }

    @Test func reportsADeferredConstraintThatFailsAtTheSync() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
        } _: { postgres in
            try await World.withTable(postgres, "n int UNIQUE DEFERRABLE INITIALLY DEFERRED") { table in
                let error = await failure {
                    try await postgres.run([
                        "INSERT INTO \(raw: table) VALUES (1)", "INSERT INTO \(raw: table) VALUES (1)",
                    ])
                }
                let next = try await postgres.query("SELECT count(*) AS n FROM \(raw: table)")

                #expect(error?.sqlState == "23505")
                #expect(try next[0].get("n", as: Int.self) == 0)
            }
        }
    }

    @Test func keepsTheFailureOfAGroupToItself() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int PRIMARY KEY") { table in
                let answers = await postgres.run(groups: [
                    ["INSERT INTO \(raw: table) VALUES (\(1))", "INSERT INTO \(raw: table) VALUES (\(2))"],
                    ["INSERT INTO \(raw: table) VALUES (\(3))", "INSERT INTO \(raw: table) VALUES (\(1))"],
                    [],
                    ["SELECT nonsense"],
                    ["INSERT INTO \(raw: table) VALUES (\(4))"],
                    ["SELECT \("\0")::text"],
                ])
                let rows = try await postgres.query("SELECT n FROM \(raw: table) ORDER BY n")

                let outcomes = answers.map { answer -> String? in
                    if case .failure(let error) = answer { error.sqlState } else { nil }
                }
                #expect(outcomes == [nil, "23505", nil, "42703", nil, "22021"])
                #expect(try rows.map { try $0.get("n", as: Int.self) } == [1, 2, 4])
            }
        }
    }

    @Test func preparesOnceAndUsesItAgain() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
        } _: { postgres in
            for number in 0..<5 { _ = try await postgres.query("SELECT \(number)::int + 1000") }

            let rows = try await postgres.query(
                "SELECT generic_plans + custom_plans AS uses FROM pg_prepared_statements WHERE statement LIKE '%+ 1000'"
            )

            #expect(try rows.map { try $0.get("uses", as: Int.self) } == [5])
        }
    }

    @Test func doesNotRememberAFailedPreparation() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
        } _: { postgres in
            let table = World.name()
            let statement: SQL = "SELECT count(*) AS n FROM \(raw: table)"

            let first = await failure { try await postgres.query(statement) }
            let second = await failure { try await postgres.run(["SELECT 1/0", "SELECT 77"]) }
            _ = try await postgres.query("CREATE TABLE \(raw: table) ()")
            let third = try await postgres.query(statement)
            let fourth = try await postgres.query("SELECT 77")
            _ = try await postgres.query("DROP TABLE \(raw: table)")

            #expect(first?.sqlState == "42P01")
            #expect(second?.sqlState == "22012")
            #expect(try third[0].get("n", as: Int.self) == 0)
            #expect(try fourth[0].get(0, as: Int.self) == 77)
        }
    }

    @Test func preparesAnewAfterTheTableChanged() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
        } _: { postgres in
            try await World.withTable(postgres, "n int") { table in
                let statement: SQL = "SELECT * FROM \(raw: table)"
                _ = try await postgres.query(statement)
                _ = try await postgres.query("ALTER TABLE \(raw: table) ADD COLUMN m text")

                let first = await failure { try await postgres.query(statement) }
                let second = try await postgres.query(statement)

                #expect(first?.sqlState == "0A000")
                #expect(second.columns == ["n", "m"])
            }
        }
    }

    @Test func preparesAnewWhatTheServerForgot() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
        } _: { postgres in
            _ = try await postgres.query("SELECT 4711")
            _ = try await postgres.query("DEALLOCATE ALL")

            let first = await failure { try await postgres.query("SELECT 4711") }
            let second = try await postgres.query("SELECT 4711")

            #expect(first?.sqlState == "26000")
            #expect(second.count == 1)
        }
    }

    @Test func boundsWhatItPrepares() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
        } _: { postgres in
            for number in 0..<620 { _ = try await postgres.query(SQL(stringLiteral: "SELECT \(number)")) }

            let rows = try await postgres.query("SELECT count(*) AS n FROM pg_prepared_statements")

            #expect(try (490...502).contains(rows[0].get("n", as: Int.self)))
        }
    }

    @Test func preparesNothingWhenTold() async throws {
        try await World.with {
            $0.prepare = false
            $0.pipelinedConnections = 1
        } _: { postgres in
            for number in 0..<5 { _ = try await postgres.query("SELECT \(number)::int") }
            let rows = try await postgres.query("SELECT count(*) AS n FROM pg_prepared_statements")

            #expect(try rows[0].get("n", as: Int.self) == 0)
        }
    }

    @Test func setsTheSession() async throws {
        try await World.with {
            $0.statementTimeout = .seconds(7)
        } _: { postgres in
            let row = try await postgres.query(
                """
                SELECT current_setting('TimeZone') AS zone, current_setting('DateStyle') AS style,
                       current_setting('statement_timeout') AS timeout, current_setting('client_encoding') AS encoding,
                       current_setting('application_name') AS name
                """
            )[0]

            let values = try ["zone", "style", "timeout", "encoding", "name"].map { try row.get($0, as: String.self) }
            #expect(values == ["UTC", "ISO, YMD", "7s", "UTF8", "delightchat"])
        }
    }

    @Test func refusesACopyOutsideCopyIn() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
        } _: { postgres in
            let error = await failure { try await postgres.query("COPY (SELECT 1) TO STDOUT") }
            let next = try await postgres.query("SELECT 1")

            #expect(error?.kind == .connection)
            #expect(next.count == 1)
        }
    }

    @Test func letsNoTransactionStayOpenOnASharedConnection() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
        } _: { postgres in
            _ = await failure { try await postgres.query("BEGIN") }
            let isClosed = try await World.eventually { postgres.statistics.losses == 1 }
            let next = try await postgres.query("SELECT 1")

            #expect(isClosed)
            #expect(next.count == 1)
        }
    }

    @Test func answersNothingAfterItsShutdown() async throws {
        let postgres = Postgres(try World.configuration(), logger: World.logger)
        _ = try await postgres.query("SELECT 1")
        await postgres.shutdown()
        await postgres.shutdown()

        let query = await failure { try await postgres.query("SELECT 1") }
        let transaction = await failure { try await postgres.transaction { try await $0.query("SELECT 1").count } }

        #expect(query?.kind == .connection)
        #expect(transaction?.kind == .connection)
    }

    @Test func letsWhatIsInFlightEndBeforeItShutsDown() async throws {
        let postgres = Postgres(try World.configuration(), logger: World.logger)
        async let slow = postgres.query("SELECT 1 FROM pg_sleep(0.3)")
        async let transaction = postgres.transaction { connection in
            _ = try await connection.query("SELECT 1 FROM pg_sleep(0.3)")
            return try await connection.query("SELECT 2").count
        }
        let isUnderWay = try await World.eventually {
            let statistics = postgres.statistics
            return statistics.inFlight == 1 && statistics.busy == 1
        }

        await postgres.shutdown()

        #expect(isUnderWay)
        #expect(try await slow.count == 1)
        #expect(try await transaction == 1)
    }
}
