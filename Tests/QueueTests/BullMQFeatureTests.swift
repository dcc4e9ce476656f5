import Cron
import Foundation
import Redis
import Testing

@testable import Queue

/// What PyPI bullmq 3.4.4 makes of our part of a feature, and we of theirs.
@Suite(.serialized) struct BullMQFeatureTests {
    /// Calls a method of their Queue; `arguments` is a JSON array. Answers JSON.
    private func call(_ world: QueueWorld, _ method: String, _ arguments: String = "[]") async throws -> JSONText {
        let lines = try await Peer.run("call.py", QueueWorld.url(), world.queue, method, arguments)
        return try #require(JSONText(parsing: lines.last ?? ""))
    }

    private func control(_ world: QueueWorld) -> QueueControl { QueueControl(redis: world.redis, queue: world.queue) }

    private func completing(_ world: QueueWorld, _ recorder: Recorder = Recorder()) -> Consumer {
        world.consumer {
            recorder.record($0); return $0.map { _ in .completed() }
        }
    }

    @Test func aDeduplicationHoldsOnBothSides() async throws {
        let world = try QueueWorld()
        let ours = NewJob(name: "n", data: "{}", deduplication: Deduplication("d"))
        let theirs = #"["n", {}, {"deduplication": {"id": "d"}}]"#

        #expect(try await world.producer.add(ours, to: world.queue) == "1")
        #expect(try await call(world, "add", theirs) == .string("1"))
        #expect(try await call(world, "getDeduplicationJobId", #"["d"]"#) == .string("1"))
        _ = try await Peer.run("work.py", QueueWorld.url(), world.queue, "1")
        #expect(try await call(world, "add", theirs) == .string("3"))
        #expect(try await world.producer.add(ours, to: world.queue) == "3")
        try await world.with(completing(world)) {
            try await eventually("it is done") { try await world.inspector.counts(world.queue).completed == 2 }
        }
        #expect(try await call(world, "getDeduplicationJobId", #"["d"]"#) == .null)
    }

    @Test func theirThrottleAndTheirDebounceHoldForOurAdds() async throws {
        let world = try QueueWorld()
        _ = try await call(world, "add", #"["n", {}, {"deduplication": {"id": "t", "ttl": 60000}}]"#)
        _ = try await call(
            world,
            "add",
            #"["n", {}, {"delay": 60000, "deduplication": {"id": "r", "ttl": 60000, "extend": true, "replace": true}}]"#
        )

        let throttled = NewJob(name: "n", data: "{}", deduplication: Deduplication("t", .throttle(.seconds(60))))
        let newer = NewJob(
            name: "newer",
            data: "{}",
            delay: .seconds(60),
            deduplication: Deduplication("r", .replace(.seconds(60), extending: true))
        )

        #expect(try await world.producer.add([throttled, newer], to: world.queue) == ["1", "4"])
        #expect(try await world.command("ZRANGE", world.key("delayed"), "0", "-1") == .array([.string("4")]))
        #expect(try await call(world, "getDeduplicationJobId", #"["r"]"#) == .string("4"))
    }

    @Test func ourConsumerMakesTheNextJobOfTheirSchedulers() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        _ = try await call(
            world,
            "upsertJobScheduler",
            #"["often", {"every": 150}, "tick", {"a": 1}, {"attempts": 2}]"#
        )
        _ = try await call(
            world,
            "upsertJobScheduler",
            #"["yearly", {"pattern": "0 0 3 1 1 *", "tz": "Europe/Berlin"}, "tock", {}]"#
        )

        try await world.with(completing(world, recorder)) {
            try await eventually("three have run") { recorder.jobs.count >= 3 }
        }

        #expect(Set(recorder.jobs.map(\.name)) == ["tick"])
        #expect(recorder.jobs.allSatisfy { JSONText(parsing: $0.data)?["a"] == .number(1) })
        #expect(recorder.jobs.allSatisfy { $0.options.attempts == 2 })
        guard case .array(let all) = try await call(world, "getJobSchedulers") else { return }
        let often = try #require(all.first { $0["key"] == .string("often") })
        #expect(try #require(often["iterationCount"]?.integer) >= 4)
        let yearly = try #require(try await JobSchedulers(redis: world.redis, queue: world.queue).list().last)
        #expect(yearly.schedule.next(after: yearly.next.milliseconds - 1000, now: 0) == yearly.next.milliseconds)
    }

    @Test func theirWorkerRunsOurSchedulers() async throws {
        let world = try QueueWorld()
        let schedulers = JobSchedulers(redis: world.redis, queue: world.queue)
        let zone = try #require(TimeZone(identifier: "Europe/Berlin"))
        let template = NewJob(name: "tick", data: #"{"a":1}"#, keepCompleted: Retention(age: .seconds(3600)))
        try await schedulers.upsert("often", JobSchedule(.every(.milliseconds(150))), template)
        try await schedulers.upsert("daily", JobSchedule(.cron(try CronExpression("0 9 * * *"), in: zone)), template)

        let lines = try await Peer.run("work.py", QueueWorld.url(), world.queue, "3")

        #expect(lines.count >= 3)
        #expect(lines.allSatisfy { JSONText(parsing: $0)?["data"]?["a"] == .number(1) })
        guard case .array(let all) = try await call(world, "getJobSchedulers") else { return }
        let daily = try #require(all.first { $0["key"] == .string("daily") })
        #expect(daily["pattern"] == .string("0 9 * * *"))
        #expect(daily["tz"] == .string("Europe/Berlin"))
        #expect(daily["template"]?["opts"]?["removeOnComplete"]?["age"]?.integer == 3600)
        let often = try #require(all.first { $0["key"] == .string("often") })
        #expect(try #require(often["iterationCount"]?.integer) >= 3)
    }

    @Test func bothReadTheSameLimits() async throws {
        let world = try QueueWorld()

        try await control(world).limitRate(to: (most: 7, per: .seconds(3)))
        try await control(world).limitConcurrency(to: 4)

        let limit = try await call(world, "getGlobalRateLimit")
        #expect(limit["max"]?.integer == 7)
        #expect(limit["duration"]?.integer == 3000)
        #expect(try await call(world, "getGlobalConcurrency") == .number(4))
        try await control(world).limitRate(to: nil)
        try await control(world).limitConcurrency(to: nil)
        #expect(try await call(world, "getGlobalRateLimit") == .null)
        #expect(try await call(world, "getGlobalConcurrency") == .null)
    }

    @Test func theRateTheySetHoldsForBothTogether() async throws {
        let world = try QueueWorld()
        _ = try await call(world, "setGlobalRateLimit", "[3, 60000]")
        try await world.producer.add((0..<6).map { NewJob(name: "n", data: "{\"n\":\($0)}") }, to: world.queue)

        _ = try await Peer.run("work.py", QueueWorld.url(), world.queue, "1")
        try await world.with(completing(world)) {
            try await eventually("three have run") { try await world.inspector.counts(world.queue).completed == 3 }
            try await Task.sleep(for: .milliseconds(200))
        }

        #expect(try await world.inspector.counts(world.queue).states == ["wait": 3, "completed": 3])
    }

    @Test func theyObeyOurPauseAndWeEndTheirs() async throws {
        let world = try QueueWorld()
        try await control(world).pause()
        #expect(try await call(world, "isPaused") == .bool(true))
        #expect(try await call(world, "add", #"["n", {}]"#) == .string("1"))
        try await control(world).resume()
        #expect(try await call(world, "isPaused") == .bool(false))
        #expect(try await Peer.run("work.py", QueueWorld.url(), world.queue, "1").count == 1)

        _ = try await call(world, "pause")
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
        #expect(try await control(world).resume())
        try await world.with(completing(world)) {
            try await eventually("it has run") { try await world.inspector.counts(world.queue).completed == 2 }
        }
    }

    @Test func weTakeUpWhatTheirKilledWorkerLeft() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        _ = try await call(world, "add", #"["hang", {}, {"attempts": 3}]"#)
        let worker = try Peer.start("work.py", QueueWorld.url(), world.queue, "1", #"{"lockDuration": 1000}"#)
        try await eventually("it has begun") { try await world.inspector.counts(world.queue).active == 1 }
        kill(worker.processIdentifier, SIGKILL)

        let consumer = world.consumer(ConsumerOptions(attempts: 3, stalledInterval: .milliseconds(300))) {
            recorder.record($0); return $0.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("it is done") { try await world.inspector.counts(world.queue).completed == 1 }
        }

        #expect(recorder.jobs.map(\.stalledCount) == [1])
        #expect(try await world.list("active") == [])
    }

    @Test func theyTakeUpWhatOurKilledWorkerLeft() async throws {
        let world = try QueueWorld()
        try await world.producer.add(NewJob(name: "n", data: "{}", attempts: 3), to: world.queue)
        // As a worker of ours leaves a job that dies in the middle of it.
        _ = try await world.redis.evaluate(
            Scripts.turnOver,
            keys: [world.key("")],
            arguments: [1, "dead", 100, 0, 0]
        )

        let lines = try await Peer.run("work.py", QueueWorld.url(), world.queue, "1", #"{"stalledInterval": 300}"#)

        #expect(lines.count == 1)
        let job = try await world.job("1")
        #expect(job["stc"] == "1")
        #expect(job["ats"] == "2")
        #expect(try await world.inspector.counts(world.queue).states == ["completed": 1])
    }

    @Test func theyReadOurProgressAndLogs() async throws {
        let world = try QueueWorld()
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
        try await control(world).progress(#"{"done":3}"#, of: "1")
        try await control(world).log("line one", of: "1")
        try await control(world).log("line two", of: "1")

        let logs = try await call(world, "getJobLogs", #"["1"]"#)

        #expect(logs["logs"] == .array([.string("line one"), .string("line two")]))
        #expect(logs["count"]?.integer == 2)
    }

    @Test func theyKeepWhatWeSayIsToBeKept() async throws {
        let world = try QueueWorld()
        try await world.producer.add(
            (0..<5).map { NewJob(name: "n", data: "{\"n\":\($0)}", keepCompleted: Retention(count: 2)) },
            to: world.queue
        )

        _ = try await Peer.run("work.py", QueueWorld.url(), world.queue, "5")

        #expect(try await world.inspector.counts(world.queue).states == ["completed": 2])
    }

    @Test func theirButtonsMoveOurJobs() async throws {
        let world = try QueueWorld()
        try await world.producer.add(
            [
                NewJob(name: "n", data: "{}", delay: .seconds(60)), NewJob(name: "n", data: "{}", delay: .seconds(60)),
                NewJob(name: "n", data: "{}"), NewJob(name: "n", data: "{}", priority: 3),
            ],
            to: world.queue
        )

        _ = try await call(world, "promoteJobs")
        #expect(try await world.inspector.counts(world.queue).states == ["wait": 3, "prioritized": 1])
        _ = try await call(world, "drain")

        #expect(try await world.inspector.counts(world.queue).states == [:])
    }

    @Test func theirGettersReadWhatOurVerbsDid() async throws {
        let world = try QueueWorld()
        try await world.producer.add((0..<3).map { NewJob(name: "n", data: "{\"n\":\($0)}") }, to: world.queue)
        try await world.with(world.consumer { $0.map { _ in .failed(reason: "boom") } }) {
            try await eventually("all have failed") { try await world.inspector.counts(world.queue).failed == 3 }
        }

        #expect(try await control(world).runAgain(.failed, ["2"]) == 1)
        #expect(try await control(world).remove(["3"]) == 1)

        #expect(try await call(world, "getFailed") == .array([.string("1")]))
        #expect(try await call(world, "getWaiting") == .array([.string("2")]))
        #expect(try await call(world, "getJobState", #"["3"]"#) == .string("unknown"))
    }
}
