import Foundation
import Testing

@testable import Queue

/// A handler that traps, and with it the process of all its neighbours.
@Suite struct PoisonTests {
    @Test func endsInFailedAfterItsAttemptsAndItsNeighboursComplete() async throws {
        let world = try QueueWorld()
        let queue = world.queue
        try await world.producer.add(
            (0..<10).map { NewJob(name: $0 == 4 ? "poison" : "neighbour", data: "\($0)", attempts: 3) },
            to: queue
        )

        // Three attempts, three processes; the first takes its whole batch down.
        for _ in 0..<3 {
            await #expect(processExitsWith: .failure) { [queue = queue as String] in
                try await PoisonTests.work(queue)
            }
        }
        await #expect(processExitsWith: .success) { [queue = queue as String] in
            try await PoisonTests.work(queue)
        }

        #expect(try await world.inspector.counts(queue).states == ["completed": 9, "failed": 1])
        let poison = try await world.job("5")
        #expect(poison["name"] == "poison")
        #expect(poison["failedReason"] == "job stalled more than allowable limit")
    }

    /// Works the queue in batches until nothing is left, or until the poison ends the process.
    private static func work(_ queue: String) async throws {
        let world = try QueueWorld(queue: queue)
        let options = ConsumerOptions(
            batch: 10,
            lockDuration: .milliseconds(600),
            stalledInterval: .milliseconds(150)
        )
        let consumer = world.consumer(options) { jobs in
            if jobs.contains(where: { $0.name == "poison" }) { kill(getpid(), SIGKILL) }
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await eventually("the queue is empty") {
                let states = try await world.inspector.counts(queue).states
                return Set(states.keys).isSubset(of: ["completed", "failed"])
            }
        }
    }
}
