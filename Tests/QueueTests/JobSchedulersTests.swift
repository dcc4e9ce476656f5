import Cron
import Foundation
import Redis
import Synchronization
import Testing

@testable import Queue

@Suite struct JobSchedulersTests {
    private func schedulers(_ world: QueueWorld) -> JobSchedulers {
        JobSchedulers(redis: world.redis, queue: world.queue)
    }

    private let template = NewJob(name: "tick", data: #"{"a":1}"#, keepCompleted: Retention(age: .seconds(86_400)))

    @Test func anIntervalRunsAtOnceAndThenAtItsDistance() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let every = JobSchedule(.every(.milliseconds(200)), limit: 3)

        try await schedulers(world).upsert("s", every, template)
        try await world.with(
            world.consumer {
                recorder.record($0); return $0.map { _ in .completed() }
            }
        ) {
            try await eventually("three have run") { recorder.jobs.count == 3 }
        }

        let due = recorder.ids.compactMap { JobScheduler.due(ofJob: $0)?.milliseconds }
        #expect(due.count == 3)
        // A slot may pass while the machine is busy; they stay at their distance.
        #expect(zip(due, due.dropFirst()).allSatisfy { $1 > $0 })
        #expect(Set(recorder.jobs.map(\.data)) == [#"{"a":1}"#])
        #expect(try await schedulers(world).list().map(\.made) == [3])
        #expect(try await world.inspector.counts(world.queue).delayed == 0)
    }

    @Test func aPatternWaitsForItsTime() async throws {
        let world = try QueueWorld()
        let zone = try #require(TimeZone(identifier: "Europe/Berlin"))
        let cron = try CronExpression("0 9 * * *")

        let id = try #require(try await schedulers(world).upsert("daily", JobSchedule(.cron(cron, in: zone)), template))

        let scheduler = try #require(try await schedulers(world).list().first)
        #expect(scheduler.next == cron.next(after: Date(), in: zone))
        #expect(id == "repeat:daily:\(scheduler.next.milliseconds)")
        #expect(scheduler.name == "tick")
        #expect(scheduler.schedule == JobSchedule(.cron(cron, in: zone)))
        let job = try await world.job(id)
        #expect(job["rjk"] == "daily")
        let options = try #require(JSONText(parsing: job["opts"] ?? ""))
        #expect(options["repeat"]?["pattern"] == .string("0 9 * * *"))
        #expect(options["removeOnComplete"]?["age"]?.integer == 86_400)
        #expect(try await world.inspector.counts(world.queue).states == ["delayed": 1])
    }

    @Test func changingOneReplacesItsJob() async throws {
        let world = try QueueWorld()
        let first = try await schedulers(world).upsert(
            "s",
            JobSchedule(.cron(try CronExpression("0 1 * * *"), in: .gmt)),
            template
        )

        let second = try await schedulers(world).upsert(
            "s",
            JobSchedule(.cron(try CronExpression("0 2 * * *"), in: .gmt)),
            template
        )

        #expect(first != second)
        #expect(try await world.job(first ?? "") == [:])
        #expect(try await world.inspector.counts(world.queue).states == ["delayed": 1])
    }

    @Test func oneThatIsTheSameKeepsItsOverdueJob() async throws {
        let world = try QueueWorld()
        let schedule = JobSchedule(.cron(try CronExpression("0 1 * * *"), in: .gmt))
        let past = Date(timeIntervalSinceNow: -7200)
        let first = try await schedulers(world).upsert("s", schedule, template, keepsSame: true, first: past)

        let again = try await schedulers(world).upsert("s", schedule, template, keepsSame: true)

        #expect(again == first)
        #expect(first == "repeat:s:\(past.milliseconds)")
        #expect(try await world.list("wait") == [first])
    }

    @Test func whatWasMissedRunsOnce() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let schedule = JobSchedule(.cron(try CronExpression("* * * * *"), in: .gmt))
        try await schedulers(world).upsert("s", schedule, template, first: Date(timeIntervalSinceNow: -3600))

        try await world.with(
            world.consumer {
                recorder.record($0); return $0.map { _ in .completed() }
            }
        ) {
            try await eventually("it has run") { try await world.inspector.counts(world.queue).completed >= 1 }
        }

        let next = try #require(try await schedulers(world).list().first?.next)
        #expect(next > Date(timeIntervalSinceNow: -2))
        #expect(recorder.jobs.filter { $0.id != JobScheduler.jobId("s", due: next.milliseconds) }.count <= 2)
    }

    @Test func repairsOneWhoseJobIsGone() async throws {
        let world = try QueueWorld()
        let schedule = JobSchedule(.cron(try CronExpression("0 1 * * *"), in: .gmt))
        let id = try #require(try await schedulers(world).upsert("s", schedule, template))
        _ = try await world.command("DEL", world.key(id))
        _ = try await world.command("DEL", world.key("delayed"))
        _ = try await world.command("ZADD", world.key("repeat"), "1000", "s")

        try await schedulers(world).repair()
        try await schedulers(world).repair()

        #expect(try await world.inspector.counts(world.queue).states == ["delayed": 1])
        #expect(try await world.command("ZRANGE", world.key("delayed"), "0", "-1") == .array([.string(id)]))
    }

    @Test func removingOneRemovesItsJob() async throws {
        let world = try QueueWorld()
        let schedule = JobSchedule(.cron(try CronExpression("0 1 * * *"), in: .gmt))
        try await schedulers(world).upsert("s", schedule, template)

        #expect(try await schedulers(world).remove("s"))
        #expect(try await !schedulers(world).remove("s"))

        #expect(try await schedulers(world).list() == [])
        #expect(try await world.inspector.counts(world.queue).states == [:])
    }

    @Test func twoConsumersFireEachTimeOnce() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let handle: Consumer.Handler = {
            recorder.record($0); return $0.map { _ in .completed() }
        }
        let other = world.consumer(ConsumerOptions(concurrency: 4), handle: handle)
        try await schedulers(world).upsert("s", JobSchedule(.every(.milliseconds(20)), limit: 30), template)

        try await world.with(world.consumer(ConsumerOptions(concurrency: 4), handle: handle)) {
            try await world.with(other) {
                try await eventually("thirty have run") { recorder.jobs.count == 30 }
            }
        }

        #expect(Set(recorder.ids).count == 30)
    }

    /// Zone, schedule, previous fire, the next: what is skipped fires once at the first instant after the gap, what comes
    /// twice fires once, intervals go on.
    @Test(arguments: [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        ("Europe/Berlin", "*/30 * * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"),
        ("America/New_York", "30 2 * * *", "2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z"),
        ("America/New_York", "30 1 * * *", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"),
        ("America/New_York", "*/30 * * * *", "2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-02T15:45:00Z", "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"),
        ("Australia/Lord_Howe", "*/15 * * * *", "2026-04-04T14:45:00Z", "2026-04-04T15:00:00Z"),
    ]) func followsTheClocksOfItsZone(zone: String, pattern: String, previous: String, expected: String) throws {
        let schedule = JobSchedule(
            .cron(try CronExpression(pattern), in: try #require(TimeZone(identifier: zone)))
        )
        let before = try Date(previous, strategy: .iso8601).milliseconds

        let next = schedule.next(after: before, now: before + 5)

        #expect(next.map { Date(milliseconds: $0).formatted(.iso8601) } == expected)
    }

    @Test func anIntervalLeavesOutWhatHasPassed() {
        let schedule = JobSchedule(.every(.seconds(10)))

        #expect(schedule.next(after: nil, now: 12_345) == 12_345)
        #expect(schedule.next(after: 10_000, now: 12_000) == 20_000)
        #expect(schedule.next(after: 10_000, now: 57_000) == 60_000)
        #expect(JobSchedule(.every(.seconds(10), offset: .seconds(3))).next(after: nil, now: 12_345) == 13_000)
        #expect(JobSchedule(.every(.seconds(10)), limit: 2).next(after: 10_000, now: 12_000, made: 2) == nil)
        #expect(
            JobSchedule(.every(.seconds(10)), end: Date(timeIntervalSince1970: 11)).next(after: 10_000, now: 12_000)
                == nil
        )
    }

    @Test func aPatternThatOnlyOthersCanReadIsLeftToThem() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let due = Date().milliseconds + 50
        _ = try await world.command("ZADD", world.key("repeat"), "\(due)", "monthly")
        _ = try await world.command(
            "HSET",
            world.key("repeat:monthly"),
            "name",
            "tick",
            "pattern",
            "0 0 * * L5",
            "tz",
            "UTC",
            "ic",
            "1"
        )
        let id = "repeat:monthly:\(due)"
        _ = try await world.command("HSET", world.key(id), "name", "tick", "data", "{}", "opts", "{}", "rjk", "monthly")
        _ = try await world.command("ZADD", world.key("delayed"), "\(due * 4096)", id)

        let consumer = world.consumer {
            recorder.record($0); return $0.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("it has run") { try await world.inspector.counts(world.queue).completed == 1 }
        }

        // No next job at a guessed time, and the scheduler stands as its owner made it.
        #expect(recorder.ids == [id])
        #expect(try await world.inspector.counts(world.queue).delayed == 0)
        #expect(try await schedulers(world).list().map(\.next.milliseconds) == [due])
        #expect(try await schedulers(world).advance("monthly", after: id) == "0 0 * * L5")
    }
}
