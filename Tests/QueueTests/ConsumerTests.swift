import Foundation
import Redis
import Synchronization
import Testing

@testable import Queue

@Suite(.serialized) struct ConsumerTests {
    @Test func runsEveryKindOfJobInItsOrder() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        try await world.producer.add(
            [
                NewJob(name: "low", data: "{}", priority: 9), NewJob(name: "high", data: "{}", priority: 1),
                NewJob(name: "first", data: "{}"), NewJob(name: "second", data: "{}"),
                NewJob(name: "front", data: "{}", lifo: true),
            ],
            to: world.queue
        )

        let consumer = world.consumer { jobs in
            recorder.record(jobs)
            return jobs.map { _ in .completed(result: "1") }
        }
        try await world.with(consumer) {
            try await eventually("all are completed") { try await world.inspector.counts(world.queue).completed == 5 }
        }

        #expect(recorder.jobs.map(\.name) == ["front", "first", "second", "high", "low"])
        let fields = try await world.job("3")
        #expect(fields["returnvalue"] == "1")
        #expect(fields["atm"] == "1")
        #expect(fields["ats"] == "1")
        #expect(fields["finishedOn"] != nil)
        let counts = try await world.inspector.counts(world.queue)
        #expect(counts.states == ["completed": 5])
        #expect(try await world.events().suffix(2) == ["completed", "drained"])
        #expect(try await world.command("EXISTS", world.key("3:lock"), world.key("pc")) == .integer(0))
    }

    @Test func handsOnWhatTheProducerSaid() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let organisation = UUID()
        let job = NewJob(name: "n", data: #"{"ü":"😀/"}"#, organisation: organisation, trace: "t")
        let id = try await world.producer.add(job, to: world.queue)

        try await world.with(
            world.consumer {
                recorder.record($0); return $0.map { _ in .completed() }
            }
        ) {
            try await eventually("it has run") { !recorder.jobs.isEmpty }
        }

        let seen = try #require(recorder.jobs.first)
        let accepted = try await world.job(id)["acc"]
        #expect(seen.data == #"{"ü":"😀/"}"#)
        #expect(seen.organisation == organisation)
        #expect(seen.trace == "t")
        #expect(String(seen.acceptedAt) == accepted)
        #expect(seen.attemptsStarted == 1)
        #expect(try await world.job(id)["returnvalue"] == "null")
    }

    @Test func givesABatchAllThatIsThere() async throws {
        let world = try QueueWorld()
        let sizes = Mutex<[Int]>([])
        try await world.producer.add((0..<70).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)

        let consumer = world.consumer(ConsumerOptions(batch: 50)) { jobs in
            sizes.withLock { $0.append(jobs.count) }
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all are completed") { try await world.inspector.counts(world.queue).completed == 70 }
        }

        #expect(sizes.withLock { $0 } == [50, 20])
    }

    @Test func endsEachJobOfABatchInItsOwnWay() async throws {
        let world = try QueueWorld()
        let runs = Mutex<[String: Int]>([:])
        let names = ["done", "fail", "discard", "retry", "now", "snooze", "release"]
        try await world.producer.add(names.map { NewJob(name: $0, data: "{}") }, to: world.queue)

        let options = ConsumerOptions(batch: 10, attempts: 2, backoff: .fixed(.milliseconds(20)))
        let consumer = world.consumer(options) { jobs in
            jobs.map { job in
                let run = runs.withLock { runs in
                    runs[job.name, default: 0] += 1
                    return runs[job.name] ?? 0
                }
                switch (job.name, run) {
                case ("fail", _): return .failed(reason: "boom \(run)")
                case ("discard", _): return .discard(reason: "never")
                case ("retry", 1): return .retry(after: .milliseconds(30), reason: "later")
                case ("now", 1): return .retry(after: .zero, reason: "again")
                case ("snooze", 1...3): return .snooze(.milliseconds(5))
                case ("release", 1...3): return .released
                default: return .completed(result: "\"\(job.name)\"")
                }
            }
        }
        try await world.with(consumer) {
            try await eventually("all have ended") {
                let counts = try await world.inspector.counts(world.queue)
                return counts.completed == 5 && counts.failed == 2
            }
        }

        #expect(
            runs.withLock { $0 }
                == ["done": 1, "fail": 2, "discard": 1, "retry": 2, "now": 2, "snooze": 4, "release": 4]
        )
        let failed = try await world.job("2")
        #expect(failed["failedReason"] == "boom 2")
        #expect(failed["stacktrace"] == #"["boom 1","boom 2"]"#)
        #expect(failed["atm"] == "2")
        #expect(try await world.job("6")["atm"] == "1")
        #expect(try await world.job("7")["atm"] == "1")
        #expect(try await world.command("LLEN", world.key("active")) == .integer(0))
        #expect(try await world.events().filter { $0 == "retries-exhausted" }.count == 1)
    }

    @Test func runsNoMoreThanItsConcurrency() async throws {
        let world = try QueueWorld()
        let running = Mutex((now: 0, most: 0))
        try await world.producer.add((0..<40).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)

        let consumer = world.consumer(ConsumerOptions(concurrency: 7)) { jobs in
            running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            try? await Task.sleep(for: .milliseconds(5))
            running.withLock { $0.now -= 1 }
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all are completed") { try await world.inspector.counts(world.queue).completed == 40 }
        }

        #expect(running.withLock { $0.most } == 7)
    }

    @Test func wakesSoonWhenIdle() async throws {
        let world = try QueueWorld()
        let waits = Mutex<[Duration]>([])
        let added = Mutex(ContinuousClock.now)
        let consumer = world.consumer { jobs in
            waits.withLock { $0.append(added.withLock { $0 }.duration(to: .now)) }
            return jobs.map { _ in .completed() }
        }

        try await world.with(consumer) {
            for round in 1...50 {
                try await Task.sleep(for: .milliseconds(10))
                added.withLock { $0 = .now }
                try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
                try await eventually("job \(round) has run") { waits.withLock { $0.count } == round }
            }
        }

        // Generous, for machines that do much else; on a quiet one the slowest takes a few milliseconds.
        let sorted = waits.withLock { $0.sorted() }
        #expect(sorted[25] < .milliseconds(50), "\(sorted[25]) at the median, \(sorted[49]) at most")
    }

    @Test func startsADelayedJobWhenItIsDue() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let started = Mutex<ContinuousClock.Instant?>(nil)
        let consumer = world.consumer { jobs in
            recorder.record(jobs)
            started.withLock { $0 = .now }
            return jobs.map { _ in .completed() }
        }

        try await world.with(consumer) {
            try await Task.sleep(for: .milliseconds(50))
            let added = ContinuousClock.now
            try await world.producer.add(NewJob(name: "n", data: "{}", delay: .milliseconds(300)), to: world.queue)
            try await eventually("it has run") { !recorder.jobs.isEmpty }
            let wait = added.duration(to: try #require(started.withLock { $0 }))
            #expect(wait >= .milliseconds(298))
            // Before the fetch that follows a lost marker.
            #expect(wait < .milliseconds(1800))
        }
    }

    @Test func obeysAPause() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        _ = try await world.command("HSET", world.key("meta"), "paused", "1")
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)

        try await world.with(
            world.consumer {
                recorder.record($0); return $0.map { _ in .completed() }
            }
        ) {
            try await Task.sleep(for: .milliseconds(200))
            #expect(recorder.jobs.isEmpty)
            _ = try await world.command("HDEL", world.key("meta"), "paused")
            _ = try await world.command("ZADD", world.key("marker"), "0", "0")
            try await eventually("it has run after the resume") { !recorder.jobs.isEmpty }
        }
    }

    @Test func obeysTheQueuesOwnConcurrency() async throws {
        let world = try QueueWorld()
        let running = Mutex((now: 0, most: 0))
        _ = try await world.command("HSET", world.key("meta"), "concurrency", "2")
        try await world.producer.add((0..<20).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)

        let handle: Consumer.Handler = { jobs in
            running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            try? await Task.sleep(for: .milliseconds(5))
            running.withLock { $0.now -= 1 }
            return jobs.map { _ in .completed() }
        }
        let other = world.consumer(ConsumerOptions(concurrency: 10), handle: handle)
        try await world.with(world.consumer(ConsumerOptions(concurrency: 10), handle: handle)) {
            try await world.with(other) {
                try await eventually("all are completed") {
                    try await world.inspector.counts(world.queue).completed == 20
                }
            }
        }

        #expect(running.withLock { $0.most } == 2)
    }

    @Test func obeysTheQueuesOwnRate() async throws {
        let world = try QueueWorld()
        let starts = Mutex<[ContinuousClock.Instant]>([])
        _ = try await world.command("HSET", world.key("meta"), "max", "3", "duration", "300")
        try await world.producer.add((0..<7).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)

        let consumer = world.consumer(ConsumerOptions(concurrency: 10)) { jobs in
            starts.withLock { $0.append(.now) }
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all are completed") { try await world.inspector.counts(world.queue).completed == 7 }
        }

        let times = starts.withLock { $0 }
        #expect(times[0].duration(to: times[3]) > .milliseconds(250))
        #expect(times[3].duration(to: times[6]) > .milliseconds(250))
    }

    @Test func failsADeferredFailureWithoutRunningIt() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let exhausted = Recorder()
        let id = try await world.producer.add(NewJob(name: "n", data: "{}", attempts: 9), to: world.queue)
        _ = try await world.command("HSET", world.key(id), "defa", "a child failed")

        let consumer = world.consumer(
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
        let fields = try await world.job(id)
        #expect(fields["failedReason"] == "a child failed")
        #expect(fields["defa"] == nil)
    }

    @Test func triesAgainWhatCouldNotBeRecordedAsExhausted() async throws {
        struct Away: Error {}
        let world = try QueueWorld()
        let calls = Mutex(0)
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)

        let consumer = world.consumer(
            ConsumerOptions(exhaustedRetry: .milliseconds(20)),
            onExhausted: { _ in
                let call = calls.withLock {
                    $0 += 1; return $0
                }
                if call < 3 { throw Away() }
            },
            handle: { $0.map { _ in .failed(reason: "boom") } }
        )
        try await world.with(consumer) {
            try await eventually("it has failed") { try await world.inspector.counts(world.queue).failed == 1 }
        }

        #expect(calls.withLock { $0 } == 3)
    }

    @Test func keepsTheNewestOfTheFinished() async throws {
        let world = try QueueWorld()
        try await world.producer.add((0..<30).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        try await world.producer.add(
            NewJob(name: "gone", data: "{}", id: "gone", keepCompleted: Retention.nothing),
            to: world.queue
        )

        let consumer = world.consumer(ConsumerOptions(batch: 5, keepCompleted: Retention(count: 7, age: .seconds(60))))
        {
            $0.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all have run") {
                let counts = try await world.inspector.counts(world.queue)
                return counts.wait == 0 && counts.active == 0
            }
        }

        let kept = try await world.command("ZRANGE", world.key("completed"), "0", "-1").array?.compactMap(\.text)
        #expect(Set(kept ?? []) == Set((24...30).map(String.init)))
        #expect(try await world.command("EXISTS", world.key("23"), world.key("gone")) == .integer(0))
        #expect(try await world.command("EXISTS", world.key("24")) == .integer(1))
    }

    @Test func removesWhatIsTooOld() async throws {
        let world = try QueueWorld()
        try await world.producer.add(NewJob(name: "old", data: "{}"), to: world.queue)
        let consumer = world.consumer(ConsumerOptions(keepCompleted: Retention(age: .seconds(1)))) {
            $0.map { _ in .completed() }
        }

        try await world.with(consumer) {
            try await eventually("the first is done") { try await world.inspector.counts(world.queue).completed == 1 }
            _ = try await world.command("ZADD", world.key("completed"), "1000", "1")
            try await world.producer.add(NewJob(name: "new", data: "{}"), to: world.queue)
            try await eventually("the second is done") {
                try await world.command("ZRANGE", world.key("completed"), "0", "-1") == .array([.string("2")])
            }
        }

        #expect(try await world.command("EXISTS", world.key("1")) == .integer(0))
    }

    @Test func freesADeduplicationWithItsJob() async throws {
        let world = try QueueWorld()
        try await world.producer.add(
            [NewJob(name: "simple", data: "{}"), NewJob(name: "throttled", data: "{}")],
            to: world.queue
        )
        _ = try await world.command("HSET", world.key("1"), "deid", "a")
        _ = try await world.command("HSET", world.key("2"), "deid", "b")
        _ = try await world.command("SET", world.key("de:a"), "1")
        _ = try await world.command("SET", world.key("de:b"), "2", "PX", "60000")

        try await world.with(world.consumer { $0.map { _ in .completed() } }) {
            try await eventually("both are done") { try await world.inspector.counts(world.queue).completed == 2 }
        }

        #expect(try await world.command("EXISTS", world.key("de:a")) == .integer(0))
        #expect(try await world.command("EXISTS", world.key("de:b")) == .integer(1))
    }

    @Test func stopsWhenWhatRunsHasFinished() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        try await world.producer.add((0..<5).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        let consumer = world.consumer(ConsumerOptions(concurrency: 2)) { jobs in
            recorder.record(jobs)
            try? await Task.sleep(for: .milliseconds(150))
            return jobs.map { _ in .completed() }
        }

        try await world.with(consumer) {
            try await eventually("two are running") { consumer.inFlight.count == 2 }
        }

        let counts = try await world.inspector.counts(world.queue)
        #expect(counts.states == ["wait": 3, "completed": 2])
        #expect(recorder.ids.sorted() == ["1", "2"])
    }

    @Test func cancelsItsHandlersWithItsTask() async throws {
        let world = try QueueWorld()
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
        let consumer = world.consumer { jobs in
            do {
                try await Task.sleep(for: .seconds(60))
                return jobs.map { _ in .completed() }
            } catch {
                return jobs.map { _ in .released }
            }
        }

        let run = Task { await consumer.run() }
        try await eventually("it runs") { consumer.inFlight.count == 1 }
        run.cancel()
        await run.value

        #expect(try await world.list("wait") == ["1"])
        #expect(try await world.list("active") == [])
    }

    @Test func answersForJobsThatItsHandlerForgot() async throws {
        let world = try QueueWorld()
        try await world.producer.add([NewJob(name: "a", data: "{}"), NewJob(name: "b", data: "{}")], to: world.queue)

        try await world.with(world.consumer(ConsumerOptions(batch: 2)) { _ in [.completed()] }) {
            try await eventually("both have failed") { try await world.inspector.counts(world.queue).failed == 2 }
        }

        #expect(try await world.job("1")["failedReason"] == "the handler answered 1 outcomes for 2 jobs")
    }

    @Test func passesOverAJobThatWasRemovedWhileItWaited() async throws {
        let world = try QueueWorld()
        try await world.producer.add((0..<3).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        _ = try await world.command("DEL", world.key("2"))

        try await world.with(world.consumer { $0.map { _ in .completed() } }) {
            try await eventually("the others are done") {
                try await world.inspector.counts(world.queue).completed == 2
            }
        }

        #expect(try await world.list("active") == [])
        #expect(try await world.command("EXISTS", world.key("2")) == .integer(0))
    }
}
