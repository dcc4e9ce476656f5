import Foundation
import Redis
import Synchronization
import Testing

@testable import Queue

@Suite struct FairnessTests {
    private let loud = UUID()
    private let quiet = UUID()

    /// As a consumer of ours leaves a queue, with a share of two.
    private func world(share: Int = 2) async throws -> QueueWorld {
        let world = try QueueWorld()
        _ = try await world.command(
            "HSET",
            world.key("meta"),
            "fair",
            "\(share)",
            "fairAt",
            "\(Date().milliseconds)"
        )
        return world
    }

    private func jobs(_ count: Int, of organisation: UUID?, priority: Int = 0) -> [NewJob] {
        (0..<count).map { NewJob(name: "n", data: "\($0)", priority: priority, organisation: organisation) }
    }

    @Test func noMoreThanItsShareStandsInTheQueue() async throws {
        let world = try await world()

        try await world.producer.add(jobs(5, of: loud) + jobs(1, of: quiet) + jobs(3, of: nil), to: world.queue)

        #expect(try await world.list("wait") == ["9", "8", "7", "6", "2", "1"])
        #expect(try await world.inspector.counts(world.queue).wait == 9)
        #expect(try await QueueControl(redis: world.redis, queue: world.queue).job("4")?.state == "waiting")
    }

    @Test func everyOrganisationsJobsRunInTheirOrder() async throws {
        let world = try await world()
        let recorder = Recorder()
        try await world.producer.add(jobs(50, of: loud) + jobs(20, of: quiet), to: world.queue)

        let consumer = world.consumer(ConsumerOptions(share: 2)) {
            recorder.record($0); return $0.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all are done") { try await world.inspector.counts(world.queue).completed == 70 }
        }

        let ours = recorder.jobs.filter { $0.organisation == loud }.map(\.data)
        #expect(ours == (0..<50).map(String.init))
        #expect(recorder.jobs.filter { $0.organisation == quiet }.map(\.data) == (0..<20).map(String.init))
        // They take turns: the smaller one is through when the larger one has had about as many.
        #expect(try #require(recorder.jobs.lastIndex { $0.organisation == quiet }) < 45)
        #expect(try await world.command("EXISTS", world.key("fair:backlogs")) == .integer(0))
    }

    @Test func delayedLifoAndPrioritizedJobsKeepToTheShareToo() async throws {
        let world = try await world()
        let recorder = Recorder()
        var many = jobs(4, of: loud)
        many.append(NewJob(name: "low", data: "", priority: 5, organisation: loud))
        many.append(NewJob(name: "high", data: "", priority: 1, organisation: loud))
        many.append(NewJob(name: "front", data: "", lifo: true, organisation: loud))
        many.append(NewJob(name: "late", data: "", delay: .milliseconds(1), organisation: loud))

        try await world.producer.add(many, to: world.queue)
        #expect(try await world.list("wait") == ["2", "1"])
        #expect(try await world.command("ZCARD", world.key("prioritized")) == .integer(0))
        try await Task.sleep(for: .milliseconds(5))
        try await world.with(
            world.consumer(ConsumerOptions(share: 2)) {
                recorder.record($0); return $0.map { _ in .completed() }
            }
        ) {
            try await eventually("all are done") { try await world.inspector.counts(world.queue).completed == 8 }
        }

        #expect(recorder.jobs.map(\.name) == ["n", "n", "front", "n", "n", "late", "high", "low"])
    }

    @Test func aSingleJobPassesByAHundredThousandOfAnother() async throws {
        let world = try await world(share: 20)
        try await world.producer.add(jobs(100_000, of: loud), to: world.queue)
        let began = Mutex<[UUID: ContinuousClock.Instant]>([:])
        let runs = Mutex(0)

        let consumer = world.consumer(ConsumerOptions(concurrency: 10, share: 20)) { jobs in
            try? await Task.sleep(for: .milliseconds(10))
            runs.withLock { $0 += jobs.count }
            began.withLock { began in
                for job in jobs where job.organisation == quiet { began[quiet] = .now }
            }
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("the loud one is being served") { runs.withLock { $0 } > 50 }
            let before = runs.withLock { $0 }
            try await world.producer.add(jobs(1, of: quiet)[0], to: world.queue)
            try await eventually("the quiet one has run") { began.withLock { $0[quiet] != nil } }
            // In runs rather than seconds: a busy machine makes ten milliseconds longer. A hundred take a tenth of a second.
            #expect(runs.withLock { $0 } - before < 1000)
        }
        _ = try await QueueControl(redis: world.redis, queue: world.queue).removeAll(.waiting, now: 0)
        #expect(try await world.inspector.counts(world.queue).wait == 0)
    }

    @Test func jobsOfOtherProducersAreOneTenant() async throws {
        let world = try await world(share: 5)
        let recorder = Recorder()
        try await world.producer.add(jobs(500, of: nil) + jobs(3, of: quiet), to: world.queue)

        let consumer = world.consumer(ConsumerOptions(concurrency: 2, share: 5)) {
            recorder.record($0); return $0.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually(within: .seconds(30), "all are done") {
                try await world.inspector.counts(world.queue).completed == 503
            }
        }

        #expect(try #require(recorder.jobs.lastIndex { $0.organisation == quiet }) < 50)
    }

    @Test func whatAForeignWorkerTookIsMadeGood() async throws {
        let world = try await world()
        try await world.producer.add(jobs(6, of: loud), to: world.queue)
        // A worker that knows nothing of shares.
        _ = try await world.command("DEL", world.key("wait"), world.key("1"), world.key("2"))
        let recorder = Recorder()

        try await world.with(
            world.consumer(ConsumerOptions(share: 2)) {
                recorder.record($0); return $0.map { _ in .completed() }
            }
        ) {
            try await eventually("the rest is done") { try await world.inspector.counts(world.queue).completed == 4 }
        }

        #expect(recorder.ids == ["3", "4", "5", "6"])
    }

    @Test func pausingHoldsAndDrainingRemovesWhatWaitsBesideToo() async throws {
        let world = try await world()
        let control = QueueControl(redis: world.redis, queue: world.queue)
        try await world.producer.add(jobs(1500, of: loud), to: world.queue)
        try await control.pause()

        #expect(try await control.jobs(.waiting, count: 5).map(\.id) == ["1", "2", "3", "4", "5"])
        #expect(try await control.remove(["1", "700"]) == 2)
        #expect(try await control.removeAll(.waiting, now: 0) == 1498)

        #expect(try await world.inspector.counts(world.queue).states == [:])
        #expect(
            try await world.command("EXISTS", world.key("fair:backlogs"), world.key("fair:standing")) == .integer(0)
        )
    }

    @Test func whereNoneOfOurConsumersWorksAllStandsInTheQueue() async throws {
        let world = try await world()
        try await world.producer.add(jobs(6, of: loud), to: world.queue)
        _ = try await world.command("HSET", world.key("meta"), "fairAt", "1000")

        try await world.producer.add(jobs(2, of: loud), to: world.queue)

        #expect(try await world.command("LLEN", world.key("wait")) == .integer(8))
    }
}
