import Foundation
import Testing

@testable import Postgres

@Suite(.serialized) struct PostgresConnectionTests {
    private struct Mishap: Error {}

    @Test func runsScripts() async throws {
        try await World.with { postgres in
            let table = World.name()
            let rows = try await postgres.withConnection { connection in
                try await connection.simple(
                    """
                    CREATE TABLE \(table.text) (n int);
                    INSERT INTO \(table.text) VALUES (1), (2);
                    SELECT n FROM \(table.text) ORDER BY n;
                    DROP TABLE \(table.text);
                    """
                )
            }

            #expect(rows.map(\.affected) == [0, 2, 2, 0])
            #expect(try rows[2].map { try $0.get("n", as: Int.self) } == [1, 2])
        }
    }

    @Test func undoesAScriptThatFails() async throws {
        try await World.with { postgres in
            let table = World.name()
            let error = await failure {
                try await postgres.withConnection { connection in
                    try await connection.simple("CREATE TABLE \(table.text) (n int); SELECT 1/0; SELECT 2")
                }
            }
            let exists = try await postgres.query("SELECT to_regclass(\(table.text))::text AS name")[0]

            #expect(error?.sqlState == "22012")
            #expect(try exists.optional("name", as: String.self) == nil)
        }
    }

    @Test func mixesScriptsAndQueries() async throws {
        try await World.with {
            $0.pooledConnections = 1
        } _: { postgres in
            let values = try await postgres.withConnection { connection in
                let first = try await connection.query("SELECT \(1)::int")
                let second = try await connection.simple("SELECT 2; SELECT 3")
                let fourth = try await connection.run(["SELECT \(4)::int", "SELECT 5"])
                return try ([first] + second + fourth).map { try $0[0].get(0, as: Int.self) }
            }

            #expect(values == [1, 2, 3, 4, 5])
        }
    }

    @Test func resetsTheSessionForTheNextOne() async throws {
        try await World.with {
            $0.pooledConnections = 1
        } _: { postgres in
            let first = try await postgres.withConnection(statementTimeout: .zero) { connection in
                _ = try await connection.simple("SET app.rest = 'behind'; SET TimeZone = 'Asia/Tokyo'")
                _ = try await connection.query("SELECT pg_advisory_lock(4242)")
                return try await connection.query(
                    "SELECT pg_backend_pid() AS pid, current_setting('statement_timeout') AS t"
                )[0]
            }
            let second = try await postgres.withConnection { connection in
                try await connection.query(
                    """
                    SELECT pg_backend_pid() AS pid, current_setting('TimeZone') AS zone,
                           nullif(current_setting('app.rest', true), '') AS behind,
                           current_setting('statement_timeout') AS t,
                           (SELECT count(*) FROM pg_locks
                             WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks
                    """
                )[0]
            }

            #expect(try first.get("pid", as: Int.self) == second.get("pid"))
            #expect(try first.get("t", as: String.self) == "0")
            #expect(try second.get("t", as: String.self) == "10s")
            #expect(try second.get("zone", as: String.self) == "UTC")
            #expect(try second.optional("behind", as: String.self) == nil)
            #expect(try second.get("locks", as: Int.self) == 0)
        }
    }

    @Test func closesAConnectionLeftInATransaction() async throws {
        try await World.with {
            $0.pooledConnections = 1
        } _: { postgres in
            let pid: SQL = "SELECT pg_backend_pid()"
            let first = try await postgres.withConnection { connection in
                _ = try await connection.query("BEGIN")
                return try await connection.query(pid)[0].get(0, as: Int.self)
            }
            let second = try await postgres.transaction { try await $0.query(pid)[0].get(0, as: Int.self) }

            #expect(first != second)
        }
    }

    @Test func copiesIn() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int, text text") { table in
                let chunks = AsyncStream<[UInt8]> { continuation in
                    for start in stride(from: 0, to: 100_000, by: 1000) {
                        let lines = (start..<start + 1000).map { "\($0)\tline \($0) ü\n" }.joined()
                        continuation.yield(Array(lines.utf8))
                    }
                    continuation.finish()
                }

                let count = try await postgres.withConnection { connection in
                    try await connection.copyIn("COPY \(raw: table) FROM STDIN", chunks)
                }
                let sum = try await postgres.query("SELECT count(*) AS n, sum(n) AS sum FROM \(raw: table)")[0]

                #expect(count == 100_000)
                #expect(try sum.get("n", as: Int.self) == 100_000)
                #expect(try sum.get("sum", as: Int.self) == 4_999_950_000)
            }
        }
    }

    @Test func copiesInsideATransaction() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int") { table in
                let count = try await postgres.transaction { connection in
                    let chunks = AsyncStream<[UInt8]> {
                        $0.yield(Array("1\n2".utf8))
                        $0.yield(Array("3\n".utf8))
                        $0.finish()
                    }
                    let copied = try await connection.copyIn("COPY \(raw: table) FROM STDIN", chunks)
                    _ = try await connection.query("DELETE FROM \(raw: table) WHERE n = \(1)")
                    return copied
                }
                let rows = try await postgres.query("SELECT n FROM \(raw: table)")

                #expect(count == 2)
                #expect(try rows.map { try $0.get("n", as: Int.self) } == [23])
            }
        }
    }

    @Test func copiesNothingWhenTheSourceFails() async throws {
        try await World.with {
            $0.pooledConnections = 1
        } _: { postgres in
            try await World.withTable(postgres, "n int") { table in
                let chunks = AsyncThrowingStream<[UInt8], any Error> {
                    $0.yield(Array("1\n".utf8))
                    $0.finish(throwing: Mishap())
                }

                await #expect(throws: Mishap.self) {
                    try await postgres.withConnection { try await $0.copyIn("COPY \(raw: table) FROM STDIN", chunks) }
                }
                let rows = try await postgres.query("SELECT n FROM \(raw: table)")
                let next = try await postgres.withConnection { try await $0.query("SELECT 1").count }

                #expect(rows.isEmpty)
                #expect(next == 1)
                #expect(postgres.statistics.losses == 0)
            }
        }
    }

    @Test func saysWhichRowOfACopyIsBad() async throws {
        try await World.with {
            $0.pooledConnections = 1
        } _: { postgres in
            try await World.withTable(postgres, "n int") { table in
                let error = await failure {
                    try await postgres.withConnection { connection in
                        let chunks = AsyncStream<[UInt8]>(unfolding: { [counter = Counter()] in
                            let turn = counter.next()
                            // Long enough for the server's error to arrive while data is still being sent.
                            if turn > 0 { try? await Task.sleep(for: .milliseconds(20)) }
                            return turn < 5 ? Array("oops\n".utf8) : nil
                        })
                        return try await connection.copyIn("COPY \(raw: table) FROM STDIN", chunks)
                    }
                }
                let notACopy = await failure {
                    try await postgres.withConnection { connection in
                        try await connection.copyIn("SELECT 1", AsyncStream<[UInt8]> { $0.finish() })
                    }
                }
                let next = try await postgres.withConnection { try await $0.query("SELECT 1").count }

                #expect(error?.sqlState == "22P02")
                #expect(notACopy != nil)
                #expect(next == 1)
            }
        }
    }

    @Test func cancelsACopy() async throws {
        try await World.with { postgres in
            try await World.withTable(postgres, "n int") { table in
                let chunk = Array(String(repeating: "1\n", count: 10_000).utf8)
                let task = Task {
                    try await postgres.withConnection { connection in
                        let endless = AsyncStream<[UInt8]>(unfolding: { chunk })
                        return try await connection.copyIn("COPY \(raw: table) FROM STDIN", endless)
                    }
                }
                try await Task.sleep(for: .milliseconds(200))
                task.cancel()
                let error = await failure { try await task.value }
                let rows = try await postgres.query("SELECT count(*) AS n FROM \(raw: table)")

                #expect(error?.kind == .cancelled)
                #expect(try rows[0].get("n", as: Int.self) == 0)
            }
        }
    }

    private final class Counter: @unchecked Sendable {
        // One stream calls it, one call at a time.
        private var count = 0

        func next() -> Int {
            defer { count += 1 }
            return count
        }
    }
}
