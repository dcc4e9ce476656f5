import Foundation
import Redis
import Testing

@testable import Queue

@Suite struct RemovalTests {
    private let organisation = UUID()

    private func job(_ text: String, of organisation: UUID? = nil, delay: Duration? = nil, priority: Int = 0) -> NewJob
    {
        NewJob(
            name: "x",
            data: "{\"text\":\"\(text)\"}",
            delay: delay,
            priority: priority,
            organisation: organisation ?? self.organisation
        )
    }

    private func remove(_ world: QueueWorld, until: Int64? = nil) async throws -> Int {
        let now = try await world.producer.acceptedSoFar(in: world.queue)
        return try await world.producer.remove(from: world.queue, of: organisation, acceptedUntil: until ?? now) {
            $0.contains("secret")
        }
    }

    private func finish(_ count: Int, in world: QueueWorld) async throws {
        while try await world.inspector.counts(world.queue).completed < count {
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    @Test func takesOutWhatMatchesInWhateverStateItIs() async throws {
        let world = try QueueWorld()
        let texts = ["secret done", "plain done"]
        try await world.producer.add(texts.map { job($0) }, to: world.queue)
        try await world.with(world.consumer { jobs in jobs.map { _ in .completed() } }) {
            try await finish(2, in: world)
        }
        for text in ["secret", "plain"] {
            try await world.producer.add(
                [job(text), job(text, delay: .seconds(600)), job(text, priority: 3), job(text, of: UUID())],
                to: world.queue
            )
        }

        let removed = try await remove(world)

        let counts = try await world.inspector.counts(world.queue)
        #expect(removed == 4)
        #expect(counts.wait == 3)
        #expect(counts.delayed == 1 && counts.prioritized == 1 && counts.completed == 1)
        #expect(try await world.events().filter { $0 == "removed" }.count == 4)
        #expect(try await remove(world) == 0)
    }

    @Test func whatRunsLosesItsDataAndEndsAsItWill() async throws {
        let world = try QueueWorld()
        let id = try await world.producer.add(job("secret"), to: world.queue)
        let consumer = world.consumer { jobs in
            _ = try? await remove(world)  // seen by its effect below
            return jobs.map { _ in .completed() }
        }
        try await world.with(consumer) {
            try await finish(1, in: world)
        }

        #expect(try await world.job(id)["data"] == "{}")
    }

    @Test func whatWasAcceptedLaterStays() async throws {
        let world = try QueueWorld()
        let until = try await world.producer.acceptedSoFar(in: world.queue)
        try await world.producer.add(job("secret"), to: world.queue)

        #expect(try await remove(world, until: until) == 0)
        #expect(try await world.producer.acceptedSoFar(in: world.queue) > until)
        #expect(try await world.inspector.counts(world.queue).wait == 1)
    }
}
