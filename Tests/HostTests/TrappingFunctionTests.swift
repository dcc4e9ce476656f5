import Foundation
import Functions
import Logging
import Manifest
import Postgres
import Queue
import Redis
import Security
import TestSupport
import Testing

@testable import Host

/// Ends its process on one kind of job, as a bug of a handler does.
private struct TrapOnDemand: BatchFunction {
    struct Payload: Decodable, Sendable {
        let traps: Bool
    }

    static let payload = Shape<Payload>(body: .json([.required("traps", .boolean)]))

    func handle(_ jobs: [Work<Payload>], in context: WorkContext) async throws -> [Outcome] {
        if jobs.contains(where: \.payload.traps) { fatalError("one of the jobs traps") }
        return jobs.map { _ in .done() }
    }
}

@Suite struct TrappingFunctionTests {
    private static let manifest = """
        version: 1
        name: traps
        queues:
          traps:
        functions:
          trap-on-demand:
            handler: Traps/TrapOnDemand
            queue: traps
            batch: 10
            attempts: 3
            timeout: 10s
        """

    @Test func itsJobEndsInFailedAfterItsAttemptsAndItsNeighboursComplete() async throws {
        let prefix = "traps-\(UUID().uuidString.lowercased())"
        let redis = try Self.redis()
        let jobs = (0..<10).map { NewJob(name: "trap-on-demand", data: #"{"traps":\#($0 == 4)}"#) }
        try await Producer(redis: redis, prefix: prefix).add(jobs, to: "traps")

        // Three attempts, three processes; the first takes its whole batch down.
        for _ in 0..<3 {
            await #expect(processExitsWith: .failure) { [prefix = prefix as String] in
                try await TrappingFunctionTests.host(prefix)
            }
        }
        await #expect(processExitsWith: .success) { [prefix = prefix as String] in
            try await TrappingFunctionTests.host(prefix)
        }

        let control = QueueControl(redis: redis, prefix: prefix, queue: "traps")
        let failed = try await control.jobs(.failed, count: 10)
        #expect(failed.map(\.id) == ["5"])
        #expect(failed.first?.failedReason == "job stalled more than allowable limit")
        #expect(try await control.jobs(.completed, count: 10).count == 9)
        #expect(try await control.jobs(.active, count: 10).isEmpty)
        await redis.shutdown()
    }

    /// Hosts the function until no job is left, or until one ends the process.
    private static func host(_ prefix: String) async throws {
        let manifest = try Manifest.parse(manifest)
        let redis = try redis()
        var options = HostOptions()
        options.place = .address("127.0.0.1", port: 0)
        options.lockDuration = .milliseconds(900)
        options.stalledInterval = .milliseconds(300)
        let services = try services(redis, Producer(redis: redis, prefix: prefix))
        let host = try Host(
            RegistryCheck.compare(manifest, [TrapOnDemand.self]).pairs,
            services: services,
            options: options,
            logger: quiet
        )
        let run = Task { try await host.run() }
        let looking = try self.redis()
        let inspector = QueueInspector(redis: looking, prefix: prefix)
        while true {
            let counts = try await inspector.counts("traps")
            if counts.completed + counts.failed == 10 { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        await looking.shutdown()
        run.cancel()
        _ = await run.result
    }

    static var quiet: Logger { Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }) }

    static func redis() throws -> Redis {
        Redis(try RedisConfiguration(url: TestServers.redis), logger: quiet)
    }

    static func services(
        _ redis: Redis,
        _ producer: Producer,
        database: String? = nil,
        now: @escaping @Sendable () -> Date = { Date() }
    ) throws -> Services {
        var configuration = PostgresConfiguration(url: try database ?? TestServers.postgres)
        configuration.pipelinedConnections = 1
        configuration.pooledConnections = 2
        return Services(
            postgres: Postgres(configuration, logger: quiet),
            redis: redis,
            producer: producer,
            passwords: PasswordHasher(cost: PasswordCost(ln: 4)),
            tokens: try JWT(secret: "a secret of the tests, long enough for HS256"),
            sealed: try Sealed(key: String(repeating: "0123456789abcdef", count: 4)),
            cursorKey: Array("cursors".utf8),
            settings: [:],
            logger: quiet,
            now: now
        )
    }
}
