import Foundation
import Synchronization
import Testing

@testable import Queue

@Suite struct LanesTests {
    @Test func everyLaneHasWhatIsReservedForIt() {
        var slots = Slots(total: 10, reserves: [2, 3])

        #expect(slots.take(1, 100) == 8)
        #expect(slots.take(0, 100) == 2)
        #expect(slots.take(0, 100) == 0)
        #expect(slots.used == [2, 8])
    }

    @Test func theMoreUrgentLaneGetsWhatBecomesFree() {
        var slots = Slots(total: 4, reserves: [1, 1, 1])
        #expect(slots.take(2, 9) == 2)
        #expect(slots.take(1, 9) == 1)
        #expect(slots.take(0, 9) == 1)

        slots.give(2, 2, isSated: false)

        #expect(slots.hungry == [0, 1, 2])
        #expect(slots.take(2, 9) == 1)
        #expect(slots.take(1, 9) == 0)
        #expect(slots.take(0, 9) == 1)
    }

    @Test func aLaneWhoseQueueIsEmptyStandsInNobodysWay() {
        var slots = Slots(total: 4, reserves: [1, 1])
        #expect(slots.take(0, 9) == 3)

        slots.give(0, 3, isSated: true)

        #expect(slots.take(1, 9) == 3)
    }

    @Test func neverPromisesMoreThanThereIs() {
        var slots = Slots(total: 2, reserves: [4, 4])

        #expect(slots.take(0, 9) == 4)
        #expect(slots.take(1, 9) == 4)
        slots.force(0, 2)
        #expect(slots.take(0, 1) == 0)
        slots.give(0, 2, isSated: false)
        #expect(slots.take(0, 1) == 0)
    }

    @Test func urgentJobsPassByTheBacklogOfALaterQueue() async throws {
        let urgent = try QueueWorld()
        let later = try QueueWorld()
        let lanes = Lanes(total: 4, reserves: [1, 1])
        let running = Mutex((now: 0, most: 0))
        let done = Mutex<[String: Int]>([:])
        func consumer(_ world: QueueWorld, _ lane: Int) -> Consumer {
            Consumer(
                redis: world.redis,
                queue: world.queue,
                options: ConsumerOptions(concurrency: 10),
                lane: lanes[lane],
                logger: QueueWorld.quiet
            ) { jobs in
                running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                try? await Task.sleep(for: .milliseconds(5))
                running.withLock { $0.now -= 1 }
                done.withLock { $0[world.queue, default: 0] += 1 }
                return jobs.map { _ in .completed() }
            }
        }
        try await later.producer.add((0..<400).map { NewJob(name: "n", data: "\($0)") }, to: later.queue)

        try await later.with(consumer(later, 1)) {
            try await urgent.with(consumer(urgent, 0)) {
                try await eventually("the later queue is at work") { done.withLock { $0[later.queue] ?? 0 } > 5 }
                let before = done.withLock { $0[later.queue] ?? 0 }
                try await urgent.producer.add((0..<20).map { NewJob(name: "n", data: "\($0)") }, to: urgent.queue)
                try await eventually("the urgent ones are done") { done.withLock { $0[urgent.queue] ?? 0 } == 20 }
                #expect(done.withLock { $0[later.queue] ?? 0 } - before < 200)
                try await eventually("the rest is done") { done.withLock { $0[later.queue] ?? 0 } == 400 }
            }
        }

        #expect(running.withLock { $0.most } <= 4)
    }
}
