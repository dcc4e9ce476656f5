import Foundation
import Redis
import Testing

@testable import Queue

@Suite struct QueueControlTests {
    private func control(_ world: QueueWorld) -> QueueControl { QueueControl(redis: world.redis, queue: world.queue) }

    @Test func pausesAndResumesWithTheirEvents() async throws {
        let world = try QueueWorld()
        let control = control(world)

        #expect(try await control.pause())
        #expect(try await !control.pause())
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
        #expect(try await world.command("EXISTS", world.key("marker")) == .integer(0))
        #expect(try await control.resume())
        #expect(try await !control.resume())

        #expect(try await world.command("ZRANGE", world.key("marker"), "0", "-1") == .array([.string("0")]))
        #expect(try await world.events() == ["paused", "added", "waiting", "resumed"])
    }

    @Test func resumingBringsBackWhatVersion5HasPutAside() async throws {
        let world = try QueueWorld()
        try await world.producer.add((1...3).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        // As version 5 pauses.
        _ = try await world.command("RENAME", world.key("wait"), world.key("paused"))
        _ = try await world.command("HSET", world.key("meta"), "paused", "1")
        // Ours goes where theirs are, another version 6 client's beside them.
        try await world.producer.add(NewJob(name: "n", data: "4"), to: world.queue)
        #expect(try await world.list("paused") == ["4", "3", "2", "1"])
        _ = try await world.command("LPUSH", world.key("wait"), "5")

        try await control(world).resume()

        #expect(try await world.list("wait") == ["5", "4", "3", "2", "1"])
        #expect(try await world.command("EXISTS", world.key("paused")) == .integer(0))
    }

    @Test func findsJobsInEachState() async throws {
        let world = try QueueWorld()
        let control = control(world)
        try await world.producer.add(
            [
                NewJob(name: "plain", data: #"{"a":1}"#, trace: "t"), NewJob(name: "low", data: "{}", priority: 9),
                NewJob(name: "late", data: "{}", delay: .seconds(60)), NewJob(name: "front", data: "{}", lifo: true),
            ],
            to: world.queue
        )

        #expect(try await control.jobs(.waiting, count: 10).map(\.name) == ["front", "plain", "low"])
        #expect(try await control.jobs(.waiting, from: 1, count: 1).map(\.name) == ["plain"])
        #expect(try await control.jobs(.delayed, count: 10).map(\.name) == ["late"])
        #expect(try await control.jobs(.active, count: 10) == [])
        let job = try #require(try await control.job("1"))
        #expect(job.state == "waiting")
        #expect(job.data == #"{"a":1}"#)
        #expect(job.trace == "t")
        #expect(try await control.job("2")?.state == "waiting")
        #expect(try await control.job("9") == nil)
    }

    @Test func aRunningJobNotesItsProgressAndItsLog() async throws {
        let world = try QueueWorld()
        let control = control(world)
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)

        try await control.progress(#"{"done":3}"#, of: "1")
        for line in ["one", "two", "three"] { try await control.log(line, of: "1", keeping: 2) }

        #expect(try await control.job("1")?.progress == #"{"done":3}"#)
        #expect(try await control.log(of: "1") == ["two", "three"])
        #expect(try await !control.progress("1", of: "2"))
        #expect(try await !control.log("x", of: "2"))
        #expect(try await world.events().last == "progress")
    }

    @Test func runsFailedJobsAgainAndDelayedOnesNow() async throws {
        let world = try QueueWorld()
        let control = control(world)
        try await world.producer.add((1...3).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        try await world.with(world.consumer { $0.map { _ in .failed(reason: "boom") } }) {
            try await eventually("all have failed") { try await world.inspector.counts(world.queue).failed == 3 }
        }
        try await world.producer.add(NewJob(name: "n", data: "4", delay: .seconds(60)), to: world.queue)

        #expect(try await control.runAgain(.failed, ["2", "9"]) == 1)
        #expect(try await control.runAgain(.failed) == 2)
        #expect(try await control.runAgain(.delayed) == 1)

        #expect(try await world.list("wait") == ["4", "3", "1", "2"])
        #expect(try await world.job("2")["failedReason"] == nil)
        #expect(try await world.job("4")["delay"] == "0")
        #expect(try await world.inspector.counts(world.queue).states == ["wait": 4])
    }

    @Test func removesAllJobsOfAState() async throws {
        let world = try QueueWorld()
        let control = control(world)
        try await world.producer.add(
            (1...1200).map { NewJob(name: "n", data: "{}", priority: $0 % 2 * 5) }
                + [
                    NewJob(name: "n", data: "{}", delay: .seconds(60), deduplication: Deduplication("d")),
                    NewJob(name: "n", data: "{}", id: "mine"),
                ],
            to: world.queue
        )

        #expect(try await control.remove(["mine", "unknown"]) == 1)
        #expect(try await control.removeAll(.waiting, now: 0) == 1200)
        #expect(try await control.removeAll(.delayed, now: 0) == 1)

        #expect(try await world.inspector.counts(world.queue).states == [:])
        #expect(try await world.command("EXISTS", world.key("1"), world.key("1201"), world.key("de:d")) == .integer(0))
    }

    @Test func removesOnlyWhatFinishedLongAgo() async throws {
        let world = try QueueWorld()
        try await world.producer.add((1...2).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        try await world.with(world.consumer { $0.map { _ in .completed() } }) {
            try await eventually("both are done") { try await world.inspector.counts(world.queue).completed == 2 }
        }
        _ = try await world.command("ZADD", world.key("completed"), "1000", "1")

        let now = Date().milliseconds
        #expect(try await control(world).removeAll(.completed, olderThan: .seconds(3600), now: now) == 1)

        #expect(try await world.command("ZRANGE", world.key("completed"), "0", "-1") == .array([.string("2")]))
    }

    @Test func namesTheQueuesThatThereAre() async throws {
        let world = try QueueWorld()
        try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)

        #expect(try await QueueControl.names(redis: world.redis).contains(world.queue))
    }

    @Test func leavesTheNextJobOfASchedulerAlone() async throws {
        let world = try QueueWorld()
        let schedulers = JobSchedulers(redis: world.redis, queue: world.queue)
        let soon = try #require(
            try await schedulers.upsert("s", JobSchedule(.every(.seconds(60))), NewJob(name: "n", data: "{}"))
        )

        #expect(try await control(world).removeAll(.waiting, now: 0) == 0)
        #expect(try await control(world).remove([soon]) == 0)

        #expect(try await world.inspector.counts(world.queue).wait == 1)
    }
}
