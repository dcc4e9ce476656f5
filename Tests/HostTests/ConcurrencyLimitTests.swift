import Synchronization
import TestSupport
import Testing

@testable import Host

@Suite struct ConcurrencyLimitTests {
    /// How many run now, how many did at most, and how many are done.
    private final class Gauge: Sendable {
        let counts = Mutex((now: 0, most: 0, done: 0))

        func begin() {
            counts.withLock {
                $0.now += 1
                $0.most = max($0.most, $0.now)
            }
        }

        func end() {
            counts.withLock {
                $0.now -= 1
                $0.done += 1
            }
        }
    }

    @Test func letsSoManyRunAtOnceAndNoMore() async throws {
        let limit = ConcurrencyLimit(3)
        let gauge = Gauge()

        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    try await limit.run {
                        gauge.begin()
                        try await Task.sleep(for: .milliseconds(2))
                        gauge.end()
                    }
                }
            }
            try await group.waitForAll()
        }

        #expect(gauge.counts.withLock { $0.most } == 3)
        #expect(gauge.counts.withLock { $0.done } == 50)
    }

    @Test func takesACancelledCallOutOfTheLine() async throws {
        let limit = ConcurrencyLimit(1)
        let (gate, open) = AsyncStream<Void>.makeStream()
        let holder = Task { try await limit.run { for await _ in gate { break } } }
        let gauge = Gauge()
        let waiting = Task { try await limit.run { gauge.begin() } }

        waiting.cancel()

        await #expect(throws: CancellationError.self) { try await waiting.value }
        open.yield()
        try await holder.value
        #expect(gauge.counts.withLock { $0.most } == 0)
        // Its place wasn't lost with it.
        #expect(try await limit.run { 1 } == 1)
    }

    @Test func givesItsPlaceBackWhenTheCallThrows() async throws {
        struct Fault: Error {}
        let limit = ConcurrencyLimit(1)

        await #expect(throws: Fault.self) { try await limit.run { throw Fault() } }

        #expect(try await limit.run { 1 } == 1)
    }
}
