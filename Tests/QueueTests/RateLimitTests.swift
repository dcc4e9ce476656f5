import Foundation
import Synchronization
import Testing

@testable import Queue

@Suite struct RateLimitTests {
    @Test func jobsOfOneKeyWaitForTheirTurnAndHoldUpNobodyElse() async throws {
        let world = try QueueWorld()
        let starts = Mutex<[(name: String, data: String, at: ContinuousClock.Instant)]>([])
        let limit = RateLimit(key: "channel", most: 2, per: .milliseconds(300))
        let jobs =
            (0..<6).map { NewJob(name: "limited", data: "\($0)", rate: limit) }
            + (0..<6).map { NewJob(name: "free", data: "\($0)") }
        try await world.producer.add(jobs, to: world.queue)

        let consumer = world.consumer(ConsumerOptions(concurrency: 3)) { jobs in
            starts.withLock { starts in starts += jobs.map { ($0.name, $0.data, .now) } }
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("all are done") { try await world.inspector.counts(world.queue).completed == 12 }
        }

        let limited = starts.withLock { $0 }.filter { $0.name == "limited" }
        // Two that start together may begin in either order.
        let pairs = stride(from: 0, to: 6, by: 2).map { limited[$0..<$0 + 2].map(\.data).sorted() }
        #expect(pairs == [["0", "1"], ["2", "3"], ["4", "5"]])
        #expect(limited[1].at.duration(to: limited[2].at) > .milliseconds(200))
        #expect(limited[3].at.duration(to: limited[4].at) > .milliseconds(200))
        let lastFree = try #require(starts.withLock { $0.lastIndex { $0.name == "free" } })
        #expect(lastFree < 10)
        #expect(try await world.job("1")["slot"] == nil)
    }
}
