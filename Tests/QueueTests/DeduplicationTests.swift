import Foundation
import Redis
import Testing

@testable import Queue

@Suite struct DeduplicationTests {
    private func job(_ name: String, _ mode: Deduplication.Mode, delay: Duration? = nil) -> NewJob {
        NewJob(name: name, data: "{}", delay: delay, deduplication: Deduplication("d", mode))
    }

    @Test func refusesASecondOneUntilTheFirstHasEnded() async throws {
        let world = try QueueWorld()

        let ids = try await world.producer.add(
            [job("a", .untilEnded), job("b", .untilEnded), NewJob(name: "c", data: "{}")],
            to: world.queue
        )

        #expect(ids == ["1", "1", "3"])
        #expect(try await world.events() == ["added", "waiting", "deduplicated", "added", "waiting"])
        #expect(try await world.job("1")["deid"] == "d")
        try await world.with(world.consumer { $0.map { _ in .completed() } }) {
            try await eventually("both are done") { try await world.inspector.counts(world.queue).completed == 2 }
        }
        #expect(try await world.producer.add(job("d", .untilEnded), to: world.queue) == "4")
    }

    @Test func refusesASecondOneForATime() async throws {
        let world = try QueueWorld()
        try await world.producer.add(job("a", .throttle(.milliseconds(300))), to: world.queue)
        try await world.with(world.consumer { $0.map { _ in .completed() } }) {
            try await eventually("it is done") { try await world.inspector.counts(world.queue).completed == 1 }
        }

        #expect(try await world.producer.add(job("b", .throttle(.milliseconds(300))), to: world.queue) == "1")
        try await eventually("the time is over") { try await world.command("EXISTS", world.key("de:d")) == .integer(0) }
        #expect(try await world.producer.add(job("c", .throttle(.milliseconds(300))), to: world.queue) == "3")
    }

    @Test func everyRefusalMayProlongTheTime() async throws {
        let world = try QueueWorld()
        let short = job("a", .throttle(.seconds(5), extending: true))
        try await world.producer.add(short, to: world.queue)

        try await world.producer.add(job("b", .throttle(.seconds(60), extending: true)), to: world.queue)

        let left = try #require(try await world.command("PTTL", world.key("de:d")).integer)
        #expect(left > 30_000)
    }

    @Test func theNewestReplacesADelayedOne() async throws {
        let world = try QueueWorld()
        try await world.producer.add(job("a", .replace(), delay: .seconds(60)), to: world.queue)

        let id = try await world.producer.add(job("b", .replace(), delay: .seconds(60)), to: world.queue)

        #expect(id == "2")
        #expect(try await world.job("1") == [:])
        #expect(try await world.command("ZRANGE", world.key("delayed"), "0", "-1") == .array([.string("2")]))
        #expect(try await world.command("GET", world.key("de:d")) == .string("2"))
        #expect(
            try await world.events() == ["added", "delayed", "removed", "deduplicated", "added", "delayed"]
        )
    }

    @Test func theNewestRefusedWhileOneRunsRunsNext() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        try await world.producer.add(job("a", .keepLast), to: world.queue)

        let consumer = world.consumer { jobs in
            recorder.record(jobs)
            if recorder.jobs.count == 1 {
                // Adding from within: the first one is active then.
                for name in ["b", "c"] { _ = try? await world.producer.add(job(name, .keepLast), to: world.queue) }
            }
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("two are done") { try await world.inspector.counts(world.queue).completed == 2 }
        }

        #expect(recorder.jobs.map(\.name) == ["a", "c"])
        #expect(try await world.command("EXISTS", world.key("dn:d"), world.key("de:d")) == .integer(0))
    }

    @Test func aKeyWhoseJobIsGoneCountsAsFree() async throws {
        let world = try QueueWorld()
        _ = try await world.command("SET", world.key("de:d"), "gone")

        #expect(try await world.producer.add(job("a", .untilEnded), to: world.queue) == "1")
        #expect(try await world.command("GET", world.key("de:d")) == .string("1"))
    }

    @Test func aProvidersIdMakesOneThatEveryClientTakes() {
        let id = NewJob.id(fromProviders: "wamid:1/ä")

        #expect(id.count == 65)
        #expect(NewJob(name: "n", data: "{}", id: id).hasUsableId)
        #expect(id == NewJob.id(fromProviders: "wamid:1/ä"))
    }
}
