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
            arguments: [1, "dead", 100, 0, "", "", 0]
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

    @Test func ourThrottleAndOurDebounceHoldForTheirAdds() async throws {
        let world = try QueueWorld()
        let throttled = NewJob(name: "n", data: "{}", deduplication: Deduplication("t", .throttle(.seconds(60))))
        let older = NewJob(
            name: "older",
            data: "{}",
            delay: .seconds(60),
            deduplication: Deduplication("r", .replace(.seconds(60), extending: true))
        )
        try await world.producer.add([throttled, older], to: world.queue)

        #expect(
            try await call(world, "add", #"["n", {}, {"deduplication": {"id": "t", "ttl": 60000}}]"#) == .string("1")
        )
        let newer =
            #"["newer", {}, {"delay": 60000, "deduplication": {"id": "r", "ttl": 60000, "extend": true, "replace": true}}]"#
        #expect(try await call(world, "add", newer) == .string("4"))
        #expect(try await world.job("2") == [:])
        #expect(try await world.inspector.counts(world.queue).states == ["wait": 1, "delayed": 1])
    }

    // 3.4.4 obeys a limit, but doesn't wake when it is over; so these look no further than that.

    @Test func theRateWeSetHoldsForTheirWorker() async throws {
        let world = try QueueWorld()
        try await control(world).limitRate(to: (most: 2, per: .seconds(60)))
        try await world.producer.add((0..<4).map { NewJob(name: "n", data: "{\"n\":\($0)}") }, to: world.queue)

        let worker = try Peer.start("work.py", QueueWorld.url(), world.queue, "4")
        defer { kill(worker.processIdentifier, SIGKILL) }
        try await eventually("two have run") { try await world.inspector.counts(world.queue).completed == 2 }
        // Long enough for a third to run that should not.
        try await Task.sleep(for: .milliseconds(500))

        #expect(try await world.inspector.counts(world.queue).states == ["wait": 2, "completed": 2])
        #expect(try await world.command("GET", world.key("limiter")) == .string("2"))
    }

    @Test func theRatesOfOurWorkerAndTheirsAreOne() async throws {
        let world = try QueueWorld()
        try await world.producer.add((0..<6).map { NewJob(name: "n", data: "{\"n\":\($0)}") }, to: world.queue)

        let options = #"{"limiter": {"max": 3, "duration": 60000}}"#
        _ = try await Peer.run("work.py", QueueWorld.url(), world.queue, "1", options)
        let consumer = world.consumer(ConsumerOptions(rate: (most: 3, per: .seconds(60)))) {
            $0.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("three have run") { try await world.inspector.counts(world.queue).completed == 3 }
            // Long enough for a fourth to run that should not.
            try await Task.sleep(for: .milliseconds(200))
        }

        #expect(try await world.inspector.counts(world.queue).states == ["wait": 3, "completed": 3])
    }

    @Test func aLimitOfOursByHandHoldsForTheirWorkerWhereTheQueueHasARate() async throws {
        let world = try QueueWorld()
        try await control(world).limitRate(to: (most: 100, per: .seconds(1)))
        try await world.producer.add((0..<2).map { NewJob(name: "n", data: "{\"n\":\($0)}") }, to: world.queue)
        let limited = Recorder()
        let consumer = world.consumer {
            limited.record($0); return $0.map { _ in .limited(.seconds(60)) }
        }
        try await world.with(consumer) {
            try await eventually("it is given back") {
                try await world.inspector.counts(world.queue).states == ["wait": 2] && !limited.jobs.isEmpty
            }
        }
        _ = try await world.command("DEL", world.key("stalled-check"))

        let worker = try Peer.start("work.py", QueueWorld.url(), world.queue, "2", #"{"stalledInterval": 200}"#)
        defer { kill(worker.processIdentifier, SIGKILL) }
        try await eventually("their worker works") {
            try await world.command("EXISTS", world.key("stalled-check")) == .integer(1)
        }
        // Long enough for a job to run that should not.
        try await Task.sleep(for: .milliseconds(500))
        #expect(try await world.inspector.counts(world.queue).states == ["wait": 2])
        kill(worker.processIdentifier, SIGKILL)

        _ = try await world.command("DEL", world.key("limiter"))
        let lines = try await Peer.run("work.py", QueueWorld.url(), world.queue, "2")
        #expect(lines.compactMap { JSONText(parsing: $0)?["id"]?.string } == ["1", "2"])
        #expect(try await world.job("1")["atm"] == "1")
    }

    @Test func weKeepWhatTheySayIsToBeKept() async throws {
        let world = try QueueWorld()
        for number in 0..<4 {
            _ = try await call(world, "add", #"["n", {"n": \#(number)}, {"removeOnComplete": {"count": 2}}]"#)
        }
        _ = try await call(world, "add", #"["fails", {}, {"removeOnFail": true}]"#)

        let consumer = world.consumer { jobs in
            jobs.map { $0.name == "fails" ? .failed(reason: "boom") : .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all have ended") {
                try await world.inspector.counts(world.queue).states == ["completed": 2]
            }
        }

        #expect(try await call(world, "getCompleted") == .array([.string("4"), .string("3")]))
        #expect(try await world.job("1") == [:])
        #expect(try await world.job("5") == [:])
    }

    @Test func theirWorkerWaitsAsLongAsOurBackoffSays() async throws {
        let world = try QueueWorld()
        let job = NewJob(name: "fail", data: "{}", attempts: 3, backoff: .exponential(.milliseconds(100)))
        try await world.producer.add(job, to: world.queue)

        let lines = try await Peer.run("work.py", QueueWorld.url(), world.queue, "1")

        #expect(lines.count == 3)
        let fields = try await world.job("1")
        #expect(fields["atm"] == "3")
        // The last delay: 100 ms, doubled once.
        #expect(fields["delay"] == "200" || fields["delay"] == "0")
        #expect(try await world.inspector.counts(world.queue).states == ["failed": 1])
        #expect(try await call(world, "getJobState", #"["1"]"#) == .string("failed"))
    }

    @Test func theirGettersKnowEveryStateOfOurJobs() async throws {
        let world = try QueueWorld()
        try await world.producer.add(
            [
                NewJob(name: "holds", data: "{}"), NewJob(name: "waits", data: "{}"),
                NewJob(name: "urgent", data: "{}", priority: 3),
                NewJob(name: "late", data: "{}", delay: .seconds(60)),
            ],
            to: world.queue
        )
        let hold = Signal()
        let consumer = world.consumer { jobs in
            if jobs[0].name == "holds" { await hold.wait() }
            return jobs.map { _ in .completed() }
        }

        try await world.with(consumer) {
            try await eventually("one runs") { try await world.inspector.counts(world.queue).active == 1 }
            for (id, state) in [("1", "active"), ("2", "waiting"), ("3", "prioritized"), ("4", "delayed")] {
                #expect(try await call(world, "getJobState", "[\"\(id)\"]") == .string(state))
            }
            for (getter, id) in [
                ("getActive", "1"), ("getWaiting", "2"), ("getPrioritized", "3"), ("getDelayed", "4"),
            ] { #expect(try await call(world, getter) == .array([.string(id)]), "\(getter)") }
            let counts = try await call(world, "getJobCounts")
            for state in ["active", "waiting", "prioritized", "delayed"] {
                #expect(counts[state]?.integer == 1, "\(state)")
            }
            hold.raise()
            try await eventually("three are done") { try await world.inspector.counts(world.queue).completed == 3 }
        }
        #expect(try await call(world, "getJobState", #"["1"]"#) == .string("completed"))
    }

    @Test func theirListenersHearHowOurJobsEnd() async throws {
        let world = try QueueWorld()
        let listening = Task { try await Peer.run("listen.py", QueueWorld.url(), world.queue, "2") }
        try await eventually("it listens") {
            try await world.command("CLIENT", "LIST").string?.contains("cmd=xread") ?? false
        }
        let adding = Task {
            // Others listen on this Redis too: the first jobs may come before this one does.
            while !Task.isCancelled {
                try await world.producer.add(
                    [NewJob(name: "n", data: "{}"), NewJob(name: "fails", data: "{}")],
                    to: world.queue
                )
                try await Task.sleep(for: .milliseconds(300))
            }
        }
        let consumer = world.consumer { jobs in
            jobs.map { $0.name == "fails" ? .failed(reason: "boom") : .completed(result: #"{"a":1}"#) }
        }
        var lines: [String] = []
        try await world.with(consumer) { lines = try await listening.value }
        adding.cancel()

        let heard = lines.compactMap { JSONText(parsing: $0) }
        #expect(heard.contains { $0["event"] == .string("completed") && $0["returnvalue"]?["a"] == .number(1) })
        #expect(heard.contains { $0["event"] == .string("failed") && $0["failedReason"] == .string("boom") })
    }
}
