import Foundation
import Redis
import Synchronization
import Testing

@testable import Queue

@Suite struct RateLimitTests {
    @Test func jobsOfOneKeyWaitForTheirTurnAndHoldUpNobodyElse() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let limit = RateLimit(key: "channel", most: 2, per: .seconds(60))
        let jobs =
            (0..<6).map { NewJob(name: "limited", data: "\($0)", rate: limit) }
            + (0..<6).map { NewJob(name: "free", data: "\($0)") }
        try await world.producer.add(jobs, to: world.queue)

        let consumer = world.consumer(ConsumerOptions(concurrency: 3)) { jobs in
            recorder.record(jobs)
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all that may are done") {
                try await world.inspector.counts(world.queue).completed == 8
            }
            // Long enough for a third to run that should not.
            try await Task.sleep(for: .milliseconds(200))
        }

        #expect(recorder.jobs.filter { $0.name == "limited" }.map(\.data).sorted() == ["0", "1"])
        #expect(recorder.jobs.count { $0.name == "free" } == 6)
        #expect(try await world.inspector.counts(world.queue).completed == 8)
    }

    @Test func theNextTurnComesByItselfAndInOrder() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        let limit = RateLimit(key: "channel", most: 2, per: .milliseconds(300))
        try await world.producer.add(
            (0..<6).map { NewJob(name: "limited", data: "\($0)", rate: limit) },
            to: world.queue
        )

        let consumer = world.consumer(ConsumerOptions(concurrency: 3)) { jobs in
            recorder.record(jobs)
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all are done") { try await world.inspector.counts(world.queue).completed == 6 }
        }

        // Two that start together may begin in either order.
        let data = recorder.jobs.map(\.data)
        let pairs = stride(from: 0, to: 6, by: 2).map { data[$0..<$0 + 2].sorted() }
        #expect(pairs == [["0", "1"], ["2", "3"], ["4", "5"]])
        #expect(try await world.job("1")["slot"] == nil)
    }

    @Test func aWorkersOwnRateIsOneForAllThatShareIt() async throws {
        let world = try QueueWorld()
        try await world.producer.add((0..<6).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        let options = ConsumerOptions(concurrency: 5, rate: (most: 3, per: .seconds(60)))
        let consumers = (0..<2).map { _ in world.consumer(options) { $0.map { _ in .completed() } } }

        try await world.with(consumers[0]) {
            try await world.with(consumers[1]) {
                try await eventually("three have run") { try await world.inspector.counts(world.queue).completed == 3 }
                // Long enough for a fourth to run that should not.
                try await Task.sleep(for: .milliseconds(200))
            }
        }

        #expect(try await world.inspector.counts(world.queue).states == ["wait": 3, "completed": 3])
        #expect(try await world.command("GET", world.key("limiter")) == .string("3"))
    }

    @Test func aHandlerLimitsItsQueueByHandAndItsJobLosesNoAttempt() async throws {
        let world = try QueueWorld()
        let recorder = Recorder()
        try await world.producer.add((0..<3).map { NewJob(name: "n", data: "\($0)", attempts: 1) }, to: world.queue)
        let consumer = world.consumer { jobs in
            defer { recorder.record(jobs) }
            return jobs.map { _ in recorder.jobs.isEmpty ? .limited(.milliseconds(700)) : .completed() }
        }

        try await world.with(consumer) {
            try await eventually("the first has been given back") { recorder.jobs.count == 1 }
            try await eventually("it waits") { try await world.inspector.counts(world.queue).wait == 3 }
            #expect(try await world.list("wait").last == "1")
            #expect(try await world.command("GET", world.key("limiter")) == .string("9007199254740991"))
            #expect(recorder.jobs.count == 1)
            try await eventually("all are done") { try await world.inspector.counts(world.queue).completed == 3 }
        }

        #expect(recorder.ids == ["1", "1", "2", "3"])
        #expect(recorder.jobs.map(\.attemptsMade) == [0, 0, 0, 0])
        #expect(try await world.job("1")["atm"] == "1")
    }
}
