import Foundation
import Testing

@testable import Postgres

@Suite(.serialized) struct PostgresRecoveryTests {
    /// A configuration whose connections can be told from those of other tests.
    private func marked(_ configuration: inout PostgresConfiguration) -> String {
        configuration.applicationName = "test \(UUID().uuidString.prefix(8))"
        return configuration.applicationName
    }

    /// Ends every connection of that name, as a restart of the server would.
    private func terminate(_ name: String, through postgres: Postgres) async throws -> Int {
        try await postgres.query(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE application_name = \(name)"
        ).count
    }

    @Test func worksAgainAfterEveryConnectionWasLost() async throws {
        var name = ""
        try await World.with {
            name = marked(&$0)
        } _: { postgres in
            try await World.with { other in
                _ = try await postgres.query("SELECT 1")
                _ = try await postgres.transaction { try await $0.query("SELECT 1") }

                let ended = try await terminate(name, through: other)
                let isBack = try await World.eventually { (try? await postgres.query("SELECT 1").count) == 1 }
                let transaction = try await postgres.transaction { try await $0.query("SELECT 1").count }

                #expect(ended >= 2)
                #expect(isBack)
                #expect(transaction == 1)
                let returned = try await World.eventually { postgres.statistics.pipelined == 2 }
                #expect(returned)
            }
        }
    }

    @Test func saysThatStatementsInFlightAreUnavailable() async throws {
        var name = ""
        try await World.with {
            name = marked(&$0)
            $0.statementTimeout = .seconds(60)
        } _: { postgres in
            try await World.with { other in
                _ = try await postgres.query("SELECT 1")
                _ = try await World.eventually { postgres.statistics.pipelined == 2 }
                async let first = failure { try await postgres.query("SELECT pg_sleep(30)") }
                async let second = failure { try await postgres.query("SELECT pg_sleep(30)") }
                async let inside = failure {
                    try await postgres.transaction { try await $0.query("SELECT pg_sleep(30)") }
                }
                _ = try await World.eventually {
                    let rows = try await other.query(
                        "SELECT 1 FROM pg_stat_activity WHERE application_name = \(name) AND query LIKE '%pg_sleep%'"
                    )
                    return rows.count == 3
                }
                async let behind = failure { try await postgres.query("SELECT 2") }

                _ = try await terminate(name, through: other)
                let errors = await [first, second, inside]
                let last = await behind

                #expect(errors.map { $0?.isUnavailable } == [true, true, true])
                // On a busy machine it may leave only when the connections are new ones, and then it succeeds.
                #expect(last?.isUnavailable != false)
            }
        }
    }

    @Test func beginsAgainOnAnotherConnectionWhenTheIdleOneIsDead() async throws {
        var name = ""
        try await World.with {
            name = marked(&$0)
        } _: { postgres in
            try await World.with { other in
                for _ in 0..<4 {
                    _ = try await postgres.transaction { try await $0.query("SELECT 1") }
                    _ = try await terminate(name, through: other)

                    // At once, before the poller may have noticed.
                    let count = try await postgres.transaction { try await $0.query("SELECT 1").count }

                    #expect(count == 1)
                }
            }
        }
    }

    @Test func givesUpOnlyTheCallThatTakesTooLong() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
            $0.statementTimeout = .seconds(60)
        } _: { postgres in
            _ = try await postgres.query("SELECT 1")
            let behind = try await World.blocking { block in
                async let slow = failure { try await postgres.query(block, timeout: .milliseconds(300)) }
                _ = try await World.eventually { postgres.statistics.inFlight == 1 }
                let behind = Task { try await postgres.query("SELECT 'behind'") }
                let next: PostgresRows

                let error = await slow
                next = try await postgres.query("SELECT 'next'")

                #expect(error?.kind == .timeout)
                #expect(next.count == 1)
                return behind
            }
            #expect(try await behind.value.count == 1)
        }
    }

    @Test func stopsOnTheServerWhatNobodyAwaits() async throws {
        try await World.with {
            $0.statementTimeout = .seconds(60)
        } _: { postgres in
            try await World.blocking { block in
                _ = await failure { try await postgres.query(block, timeout: .milliseconds(100)) }

                let isStopped = try await World.eventually {
                    try await postgres.query(
                        "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND query = \(block.text)"
                    ).isEmpty
                }

                #expect(isStopped)
            }
        }
    }

    @Test func reportsTheServersOwnTimeout() async throws {
        try await World.with {
            $0.statementTimeout = .milliseconds(100)
        } _: { postgres in
            let error = await failure { try await postgres.query("SELECT pg_sleep(3)") }

            #expect(error?.kind == .timeout && error?.sqlState == "57014")
            #expect(postgres.statistics.losses == 0)
        }
    }

    @Test func returnsAtOnceWhenItsTaskIsCancelled() async throws {
        try await World.with {
            $0.pipelinedConnections = 1
            $0.statementTimeout = .seconds(60)
        } _: { postgres in
            _ = try await postgres.query("SELECT 1")
            try await World.blocking { block in
                let task = Task { try await postgres.query(block) }
                _ = try await World.eventually { postgres.statistics.inFlight == 1 }

                task.cancel()
                let error = await failure { try await task.value }

                #expect(error?.kind == .cancelled)
                #expect(postgres.statistics.inFlight == 1)
            }
            let next = try await postgres.query("SELECT 'mine' AS text")
            #expect(try next[0].get("text", as: String.self) == "mine")
            #expect(postgres.statistics.losses == 0)
        }
    }

    @Test func failsFastWhereNobodyListens() async throws {
        var configuration = try World.configuration()
        configuration.url = "postgres://postgres@127.0.0.1:1/postgres"
        configuration.connectTimeout = .milliseconds(300)
        let postgres = Postgres(configuration, logger: World.logger)

        let start = ContinuousClock.now
        let query = await failure { try await postgres.query("SELECT 1") }
        let transaction = await failure { try await postgres.transaction { _ in } }
        let waited = ContinuousClock.now - start
        let third = ContinuousClock.now
        _ = await failure { try await postgres.query("SELECT 1") }
        await postgres.shutdown()

        #expect(query?.kind == .connection && query?.isUnavailable == true)
        #expect(transaction?.kind == .connection && transaction?.isUnavailable == true)
        #expect(waited < .seconds(20))
        #expect(ContinuousClock.now - third < .seconds(20))
    }

    @Test func namesWhatNoAttemptCanMend() async throws {
        try await World.with {
            $0.url = Self.url($0.url, database: "there_is_none")
            $0.connectTimeout = .seconds(120)
        } _: { postgres in
            let start = ContinuousClock.now

            let query = await failure { try await postgres.query("SELECT 1") }
            let transaction = await failure { try await postgres.transaction { _ in } }

            #expect(query?.sqlState == "3D000" && query?.isUnavailable == false)
            #expect(transaction?.sqlState == "3D000")
            #expect(ContinuousClock.now - start < .seconds(60))
        }
    }

    @Test func waitsNoLongerThanToldForAServerThatSaysNothing() async throws {
        let silent = try SilentServer()
        defer { silent.stop() }
        try await World.with {
            $0.url = "postgres://postgres@127.0.0.1:\(silent.port)/postgres"
            $0.connectTimeout = .milliseconds(300)
        } _: { postgres in
            let start = ContinuousClock.now

            let error = await failure { try await postgres.query("SELECT 1") }

            #expect(error?.isUnavailable == true)
            #expect(ContinuousClock.now - start < .seconds(20))
        }
    }

    @Test func outlivesARestartOfTheServer() async throws {
        let server = try await PrivateServer()
        try server.start()
        try await World.with {
            $0.url = server.url
            $0.connectTimeout = .seconds(30)
        } _: { postgres in
            _ = try await postgres.query("SELECT 1")
            _ = try await postgres.transaction { try await $0.query("SELECT 1") }

            await server.stop()
            async let early = failure { try await postgres.query("SELECT 1", timeout: .milliseconds(200)) }
            let whileAway = await early
            async let patient = postgres.query("SELECT 'patient'")
            try await Task.sleep(for: .milliseconds(200))
            try server.start()

            #expect(whileAway?.isUnavailable == true)
            #expect(try await patient.count == 1)
            #expect(try await postgres.transaction { try await $0.query("SELECT 1").count } == 1)
        }
        await server.remove()
    }

    private static func url(_ url: String, database: String) -> String {
        guard var components = URLComponents(string: url) else { return url }
        components.path = "/\(database)"
        return components.string ?? url
    }
}
