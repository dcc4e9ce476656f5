import Foundation
import Redis
import Synchronization
import Testing

@testable import Queue

/// What happens when workers, locks or Redis itself go away.
@Suite(.serialized) struct ConsumerRecoveryTests {
    /// Options under which a dead worker's job comes again within seconds.
    private func quick(concurrency: Int = 1, batch: Int = 1, attempts: Int = 3) -> ConsumerOptions {
        ConsumerOptions(
            concurrency: concurrency,
            batch: batch,
            attempts: attempts,
            lockDuration: .milliseconds(1500),
            stalledInterval: .milliseconds(300),
            quarantine: .milliseconds(300)
        )
    }

    /// Leaves jobs behind as a worker that died does: in `active`, with a lock that expires soon.
    private func abandon(_ count: Int, lock: Int64 = 100, in world: QueueWorld) async throws {
        _ = try await world.redis.evaluate(
            Scripts.turnOver,
            keys: [world.key("")],
            arguments: [.integer(Int64(count)), "dead", .integer(lock), 0, "", "", 0]
        )
    }

    @Test func takesUpTheJobsOfADeadWorker() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        try await world.producer.add((0..<3).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        try await abandon(3, in: world)
        #expect(try await world.list("active").count == 3)

        let consumer = world.consumer(quick(batch: 10)) { jobs in
            recorder.record(jobs)
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all are completed") { try await world.inspector.counts(world.queue).completed == 3 }
        }

        #expect(recorder.jobs.map(\.stalledCount) == [1, 1, 1])
        #expect(recorder.jobs.map(\.attemptsStarted) == [2, 2, 2])
        #expect(try await world.inspector.counts(world.queue).states == ["completed": 3])
    }

    @Test func runsAJobThatStalledAlone() async throws {
        let world = try QueueWorld()
        let calls = Mutex<[[String]]>([])
        try await world.producer.add(
            ["1", "2", "3", "4", "5"].map { NewJob(name: "n", data: $0, priority: $0 == "5" ? 3 : 0) },
            to: world.queue
        )
        _ = try await world.command("HSET", world.key("2"), "stc", "1")

        let consumer = world.consumer(quick(concurrency: 4, batch: 10)) { jobs in
            calls.withLock { $0.append(jobs.map(\.id)) }
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all are completed") { try await world.inspector.counts(world.queue).completed == 5 }
        }

        #expect(calls.withLock { $0 } == [["1"], ["2"], ["3", "4", "5"]])
    }

    @Test func startsNothingBesideAJobThatStalled() async throws {
        let world = try QueueWorld()
        let running = Mutex<(now: Set<String>, beside: Set<String>)>(([], []))
        try await world.producer.add((0..<6).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        _ = try await world.command("HSET", world.key("1"), "stc", "1")

        let consumer = world.consumer(quick(concurrency: 6)) { jobs in
            for job in jobs {
                running.withLock {
                    $0.now.insert(job.id)
                    if $0.now.contains("1") { $0.beside.formUnion($0.now) }
                }
                try? await Task.sleep(for: .milliseconds(50))
                running.withLock { _ = $0.now.remove(job.id) }
            }
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all are completed") { try await world.inspector.counts(world.queue).completed == 6 }
        }

        #expect(running.withLock { $0.beside } == ["1"])
    }

    @Test func failsAJobThatUsedUpItsAttemptsKillingWorkers() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let exhausted = Recorder()
        let id = try await world.producer.add(NewJob(name: "n", data: "{}", attempts: 2), to: world.queue)
        _ = try await world.command("HSET", world.key(id), "stc", "1")
        try await abandon(1, in: world)

        let consumer = world.consumer(
            quick(attempts: 9),
            onExhausted: { exhausted.record($0.map(\.0)) },
            handle: {
                recorder.record($0); return $0.map { _ in .completed() }
            }
        )
        try await world.with(consumer) {
            try await eventually("it has failed") { try await world.inspector.counts(world.queue).failed == 1 }
        }

        #expect(recorder.jobs.isEmpty)
        #expect(exhausted.ids == [id])
        #expect(try await world.job(id)["failedReason"] == "job stalled more than allowable limit")
        #expect(try await world.events().filter { $0 == "stalled" }.count == 1)
    }

    // In a process of its own: it starves all else that runs in this one.
    @Test func keepsLocksWhileHandlersBlockEveryThread() async throws {
        await #expect(processExitsWith: .success) {
            let world = try QueueWorld()
            let recorder = Recorder()
            let count = ProcessInfo.processInfo.activeProcessorCount + 2
            try await world.producer.add((0..<count).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)

            let options = ConsumerOptions(
                concurrency: count,
                attempts: 9,
                lockDuration: .seconds(2),
                stalledInterval: .milliseconds(200)
            )
            let consumer = world.consumer(options) { jobs in
                recorder.record(jobs)
                usleep(3_500_000)
                return jobs.map { _ in .completed() }
            }
            try await world.with(consumer) {
                try await eventually(within: .seconds(60), "all are completed") {
                    try await world.inspector.counts(world.queue).completed == count
                }
            }

            #expect(recorder.ids.sorted() == (1...count).map(String.init).sorted())
            #expect(try await world.events().filter { $0 == "stalled" } == [])
        }
    }

    @Test func cancelsARunWhoseLockIsAnothers() async throws {
        let world = try QueueWorld()
        let wasCancelled = Mutex(false)
        let id = try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)

        let consumer = world.consumer(quick()) { jobs in
            do { try await Task.sleep(for: .seconds(30)) } catch { wasCancelled.withLock { $0 = true } }
            return jobs.map { _ in .completed(result: "1") }
        }
        try await world.with(consumer) {
            try await eventually("it runs") { consumer.inFlight == [id] }
            _ = try await world.command("SET", world.key(id + ":lock"), "thief", "PX", "60000")
            try await eventually("it is cancelled") { wasCancelled.withLock { $0 } && consumer.inFlight.isEmpty }
        }

        let fields = try await world.job(id)
        #expect(fields["returnvalue"] == nil)
        #expect(fields["atm"] == nil)
        #expect(try await world.list("active") == [id])
    }

    @Test func changesNothingWhenAnotherHasTheJob() async throws {
        let world = try QueueWorld()
        let ids = try await world.producer.add((0..<4).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        try await abandon(4, lock: 60_000, in: world)
        _ = try await world.command("SET", world.key("1:lock"), "thief", "PX", "60000")
        _ = try await world.command("DEL", world.key("2:lock"))
        _ = try await world.command("DEL", world.key("3"))
        _ = try await world.command("LREM", world.key("active"), "0", "4")
        let before = try await world.events()

        let jobs = ids.compactMap { Job(.array([.string($0), .array([])]), queue: world.queue, token: "dead") }
        let endings = jobs.map { Ending($0, .completed, value: "1") }
        let answer = try await world.redis.evaluate(
            Scripts.turnOver,
            keys: [world.key("")],
            arguments: [0, "t", 1000, 0, "", ""] + Ending.arguments(endings)
        )

        #expect(answer.array?.first == .array([.integer(-6), .integer(-2), .integer(-1), .integer(-3)]))
        #expect(try await world.list("active") == ["3", "2", "1"])
        #expect(try await world.events() == before)
        #expect(try await world.inspector.counts(world.queue).completed == 0)
    }

    @Test func takesAnExpiredLockAgainWhileNobodyElseHasTheJob() async throws {
        let world = try QueueWorld()
        let id = try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
        let consumer = world.consumer(ConsumerOptions(lockDuration: .milliseconds(1500))) { jobs in
            try? await Task.sleep(for: .seconds(2))
            return jobs.map { _ in .completed() }
        }

        try await world.with(consumer) {
            try await eventually("it runs") { consumer.inFlight == [id] }
            _ = try await world.command("DEL", world.key(id + ":lock"))
            try await eventually("it is completed") { try await world.inspector.counts(world.queue).completed == 1 }
        }

        #expect(try await world.job(id)["ats"] == "1")
    }

    @Test func writesWhatEndedWhileRedisWasAway() async throws {
        let server = try PrivateRedis()
        defer { server.remove() }
        try server.start()
        let world = try QueueWorld(url: server.url)
        let recorder = Recorder()
        try await eventually("Redis answers") { (try? await world.command("PING")) != nil }
        try await world.producer.add((0..<8).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)

        let consumer = world.consumer(ConsumerOptions(concurrency: 8, lockDuration: .seconds(2))) { jobs in
            recorder.record(jobs)
            try? await Task.sleep(for: .milliseconds(800))
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all run") { consumer.inFlight.count == 8 }
            server.kill()
            // Longer than the lock, while the handlers end.
            try await Task.sleep(for: .seconds(3))
            #expect(consumer.inFlight.isEmpty)
            try server.start()
            try await eventually("all are completed") {
                (try? await world.inspector.counts(world.queue).completed) == 8
            }
            try await world.producer.add(NewJob(name: "after", data: "{}"), to: world.queue)
            try await eventually("it works on by itself") {
                try await world.inspector.counts(world.queue).completed == 9
            }
        }

        #expect(recorder.jobs.count == 9)
        #expect(try await world.job("1")["ats"] == "1")
        #expect(try await world.list("active") == [])
    }

    @Test func losesNoJobWhenAConsumerVanishes() async throws {
        let world = try QueueWorld()
        let vanishing = Redis(try RedisConfiguration(url: QueueWorld.url()), logger: QueueWorld.quiet)
        let done = Mutex<[String: Int]>([:])
        let total = 5000
        let hasVanished = Mutex(false)
        let stalled = Mutex(0)

        let handle: Consumer.Handler = { jobs in
            stalled.withLock { $0 += jobs.filter { $0.stalledCount > 0 }.count }
            if Int.random(in: 0..<10) == 0 { try? await Task.sleep(for: .milliseconds(2)) }
            return jobs.map { job in
                if job.attemptsMade == 0, job.data.hasSuffix("7") { return .failed(reason: "once") }
                done.withLock { $0[job.data, default: 0] += 1 }
                return .completed()
            }
        }
        let options = ConsumerOptions(
            concurrency: 4,
            batch: 20,
            attempts: 5,
            backoff: .fixed(.milliseconds(50)),
            lockDuration: .milliseconds(1500),
            stalledInterval: .milliseconds(400),
            quarantine: .milliseconds(50)
        )
        // This one hangs in its handlers once it has lost Redis, as a process that was killed.
        let doomed = world.consumer(options, redis: vanishing) { jobs in
            if hasVanished.withLock({ $0 }) { try? await Task.sleep(for: .seconds(600)) }
            return await handle(jobs)
        }
        let doomedRun = Task { await doomed.run() }
        let first = world.consumer(options, handle: handle)
        let second = world.consumer(options, handle: handle)

        try await world.with(first) {
            try await world.with(second) {
                for start in stride(from: 0, to: total, by: 500) {
                    let jobs = (start..<start + 500).map { NewJob(name: "n", data: "\($0)") }
                    try await world.producer.add(jobs, to: world.queue)
                    if start == 2000 {
                        hasVanished.withLock { $0 = true }
                        try await eventually("the doomed one holds jobs") { !doomed.inFlight.isEmpty }
                        await vanishing.shutdown()
                    }
                }
                try await eventually(within: .seconds(60), "all are completed") {
                    let states = try await world.inspector.counts(world.queue).states
                    return done.withLock { $0.count } == total && states.keys.allSatisfy { $0 == "completed" }
                }
            }
        }
        doomedRun.cancel()
        await doomedRun.value

        #expect(done.withLock { $0.count } == total)
        #expect(try await world.list("active") == [])
        #expect(stalled.withLock { $0 } > 0)
    }

    /// Whatever a fetch that was never answered gave it comes back by itself.
    @Test(.timeLimit(.minutes(4))) func endsThoughRedisNeverComesBack() async throws {
        let server = try PrivateRedis()
        defer { server.remove() }
        try server.start()
        let world = try QueueWorld(url: server.url)
        try await eventually("Redis answers") { (try? await world.command("PING")) != nil }
        let consumer = world.consumer(ConsumerOptions()) { $0.map { _ in .completed() } }
        let run = Task { await consumer.run() }
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
        // An end that isn't written would be waited for, however long.
        try await eventually("it works") { try await world.inspector.counts(world.queue).completed == 1 }

        server.kill()
        // It has to have asked in vain.
        try await Task.sleep(for: .seconds(3))
        await consumer.stop()
        await run.value

        #expect(consumer.inFlight.isEmpty)
    }

    /// The job comes again when its lock has run out; only who is told to end at once leaves it to that.
    @Test(.timeLimit(.minutes(4))) func holdsOnToAnEndThatCannotBeWrittenUntilItIsCancelled() async throws {
        let server = try PrivateRedis()
        defer { server.remove() }
        try server.start()
        let world = try QueueWorld(url: server.url)
        try await eventually("Redis answers") { (try? await world.command("PING")) != nil }
        let killed = AsyncStream<Void>.makeStream()
        let ended = Mutex(false)
        let consumer = world.consumer(ConsumerOptions()) { jobs in
            server.kill()
            killed.continuation.finish()
            return jobs.map { _ in .completed() }
        }
        let run = Task { await consumer.run() }
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
        for await _ in killed.stream {}

        let stop = Task {
            await consumer.stop()
            ended.withLock { $0 = true }
        }
        try await Task.sleep(for: .seconds(2))
        let endedEarly = ended.withLock { $0 }
        run.cancel()
        await stop.value
        await run.value

        #expect(!endedEarly)
    }

    @Test func getsAnUnansweredFetchBack() async throws {
        let world = try QueueWorld()
        try await world.producer.add((0..<3).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        try await abandon(2, lock: 15_000, in: world)

        let answer = try await world.redis.evaluate(
            Scripts.reclaimJobs,
            keys: [world.key("")],
            arguments: ["dead", 30_000]
        )

        let jobs = (answer.array ?? []).compactMap { Job($0, queue: world.queue, token: "dead") }
        #expect(jobs.map(\.id) == ["1", "2"])
        #expect(jobs.map(\.attemptsStarted) == [1, 1])
        #expect((try await world.command("PTTL", world.key("1:lock")).integer ?? 0) > 20_000)
    }

    @Test func endsRunsWhenMemoryIsFull() async throws {
        let server = try PrivateRedis()
        defer { server.remove() }
        try server.start()
        let world = try QueueWorld(url: server.url)
        try await eventually("Redis answers") { (try? await world.command("PING")) != nil }
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
        _ = try await world.command("CONFIG", "SET", "maxmemory", "1")

        let add = await Task { try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue) }.result
        try await world.with(world.consumer { $0.map { _ in .completed() } }) {
            try await eventually("it is completed") { try await world.inspector.counts(world.queue).completed == 1 }
        }

        #expect(throws: RedisError.self) { try add.get() }
        #expect(try await world.command("GET", world.key("id")) == .string("1"))
    }
}
