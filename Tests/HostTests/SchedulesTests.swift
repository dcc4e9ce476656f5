import Foundation
import Functions
import Manifest
import Postgres
import Queue
import Redis
import Synchronization
import TestSupport
import Testing

@testable import Host

/// Schedules as a host runs them, by the seconds of real clocks.
@Suite struct SchedulesTests {
    private let prefix = "schedules-\(UUID().uuidString.lowercased())"
    private let name = "tick-now"
    private let database: TestDatabase
    private let redis: Redis
    private let owner: Postgres

    init() async throws {
        database = try await TestDatabase.make()
        redis = try TrappingFunctionTests.redis()
        owner = database.owner()
    }

    /// One host's schedules, and all that they need.
    private struct Site: Sendable {
        let service: ScheduleService
        let services: Services

        /// Works beside the body.
        func during(_ body: () async throws -> Void) async throws {
            let watching = Task { await service.watch.run() }
            let running = Task { try await service.run() }
            let result: Result<Void, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            running.cancel()
            watching.cancel()
            _ = await running.result
            await watching.value
            await services.postgres.shutdown()
            await services.redis.shutdown()
            try result.get()
        }
    }

    private func site(
        _ cron: String,
        overlap: String = "skip",
        clock: TimeInterval = 0,
        _ run: @escaping @Sendable () async -> Void
    ) throws -> Site {
        let manifest = try Manifest.parse(
            """
            version: 1
            name: schedules
            functions:
              \(name):
                handler: Ticks/TickNow
                schedule: "\(cron)"
                overlap: \(overlap)
                timeout: 60s
            """
        )
        let declaration = try #require(manifest.function(named: name))
        guard case .schedule(let trigger) = declaration.trigger else { throw CancellationError() }
        let redis = try TrappingFunctionTests.redis()
        let services = try TrappingFunctionTests.services(
            redis,
            Producer(redis: redis, prefix: prefix),
            database: database.applicationURL,
            now: { Date().addingTimeInterval(clock) }
        )
        let service = ScheduleService(
            functions: [.init(declaration: declaration, trigger: trigger, run: { _ in await run() })],
            known: [name],
            services: services,
            watch: MarkerWatch(redis: redis),
            metrics: Metrics(),
            inFlight: InFlight(path: nil),
            deadlines: Deadlines(),
            logger: TrappingFunctionTests.quiet
        )
        return Site(service: service, services: services)
    }

    private func record() async throws -> ScheduleStore.Record? { try await ScheduleStore(owner).record(of: name) }

    private func close() async {
        await owner.shutdown()
        await redis.shutdown()
    }

    @Test func firesMissedInADowntimeAreCountedAndMadeUpForOnce() async throws {
        // The last one was five minutes ago; every five seconds one was due since.
        let last = Date(timeIntervalSince1970: (Date().timeIntervalSince1970 / 5).rounded(.down) * 5 - 300)
        let store = ScheduleStore(owner)
        try await store.begin(name, due: last, missed: 0, lastMissed: nil)
        try await store.end(name, due: last, error: nil)
        let runs = Mutex(0)

        try await site("*/5 * * * * *") { runs.withLock { $0 += 1 } }.during {
            let late = try await eventually { try await record().flatMap { $0.fires == 2 ? $0 : nil } }
            #expect(late.due == last + 5)
            let next = try await eventually { try await record().flatMap { $0.fires == 3 ? $0 : nil } }
            #expect(next.missed == Int(next.due.timeIntervalSince(late.due) / 5) - 1)
            #expect(next.missed >= 58)
            #expect(next.lastMissed == next.due - 5)
        }

        #expect(runs.withLock { $0 } >= 2)
        #expect(runs.withLock { $0 } <= 3)
        await close()
    }

    @Test(arguments: [("skip", 1), ("run", 2)])
    func aFireThatFindsTheOneBeforeRunningIsLeftOutUnlessAskedFor(overlap: String, atOnce: Int) async throws {
        let running = Mutex((now: 0, most: 0))
        let site = try site("* * * * * *", overlap: overlap) {
            running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            try? await Task.sleep(for: .seconds(3))  // cancelled at the end of the test
            running.withLock { $0.now -= 1 }
        }

        try await site.during {
            if overlap == "skip" {
                _ = try await eventually { try await record().flatMap { $0.skipped >= 1 ? $0 : nil } }
            } else {
                _ = try await eventually { running.withLock { $0.most >= 2 ? true : nil } }
            }
        }

        #expect(running.withLock { $0.most } == atOnce)
        let skipped = try #require(try await record()).skipped
        #expect((skipped > 0) == (overlap == "skip"))
        await close()
    }

    @Test func twoHostsWhoseClocksAreTenMinutesApartFireEachTimeOnceAndAtItsTime() async throws {
        let runs = Mutex(0)
        let early = try site("* * * * * *", clock: 300) { runs.withLock { $0 += 1 } }
        let late = try site("* * * * * *", clock: -300) { runs.withLock { $0 += 1 } }
        let inspector = QueueInspector(redis: redis, prefix: prefix)

        try await early.during {
            try await late.during {
                _ = try await eventually { runs.withLock { $0 >= 5 ? true : nil } }
                // While none begins, there are as many ends as runs; one that had run twice would be too much for ever.
                try await QueueControl(redis: redis, prefix: prefix, queue: Schedules.queue).pause()
                _ = try await eventually {
                    try await inspector.counts(Schedules.queue).completed == runs.withLock { $0 } ? true : nil
                }
            }
        }

        let record = try #require(try await record())
        #expect(abs(record.due.timeIntervalSinceNow) < 60)
        // A machine that stands still for a second misses one; a clock that counted would have missed hundreds.
        #expect(record.missed < 100)
        #expect(record.failures == 0)
        await close()
    }
}
