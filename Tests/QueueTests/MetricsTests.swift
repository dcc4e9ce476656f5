import Foundation
import Redis
import Testing

@testable import Queue

@Suite struct MetricsTests {
    @Test func countsFinishedJobsByMinute() async throws {
        let world = try QueueWorld()
        let options = ConsumerOptions(batch: 10, metricsMinutes: 5)
        func run(_ count: Int, failing: Bool = false, until: Int) async throws {
            try await world.producer.add((0..<count).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
            try await world.with(
                world.consumer(options) { $0.map { _ in failing ? .failed(reason: "") : .completed() } }
            ) {
                try await eventually("they are done") {
                    let counts = try await world.inspector.counts(world.queue)
                    return (failing ? counts.failed : counts.completed) == until
                }
            }
        }
        func set(minutesAgo: Int) async throws {
            let time = Date().milliseconds - Int64(minutesAgo) * 60_000
            _ = try await world.command("HSET", world.key("metrics:completed"), "prevTS", "\(time)")
        }

        try await run(3, until: 3)
        #expect(try await world.command("HGET", world.key("metrics:completed"), "count") == .string("3"))
        try await set(minutesAgo: 3)
        try await run(1, until: 4)
        #expect(try await world.list("metrics:completed:data") == ["0", "0", "3"])
        try await set(minutesAgo: 1000)
        try await run(1, until: 5)
        #expect(try await world.list("metrics:completed:data") == ["0", "0", "0", "0", "1"])
        try await run(2, failing: true, until: 2)

        #expect(try await world.command("HGET", world.key("metrics:failed"), "count") == .string("2"))
    }
}
