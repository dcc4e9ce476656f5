import Foundation
import Redis
import Testing

@testable import Queue

@Suite struct QueueInspectorTests {
    @Test func theBacklogIsWhatWantsAWorkerNow() async throws {
        let world = try QueueWorld()
        let acme = UUID()
        try await world.producer.add(
            [
                NewJob(name: "n", data: "{}"),
                NewJob(name: "n", data: "{}", priority: 1),
                NewJob(name: "n", data: "{}", delay: .milliseconds(1)),
                NewJob(name: "n", data: "{}", delay: .seconds(3600)),
            ],
            to: world.queue
        )
        // Jobs of one organisation wait in a line of its own.
        try await world.producer.add(
            (1...3).map { _ in
                var job = NewJob(name: "n", data: "{}")
                job.organisation = acme
                return job
            },
            to: world.queue
        )
        let inspector = world.inspector
        while try await inspector.counts(world.queue).due == 0 { try await Task.sleep(for: .milliseconds(5)) }

        let running = try await inspector.counts(world.queue)
        try await QueueControl(redis: world.redis, queue: world.queue).pause()
        let paused = try await inspector.counts(world.queue)

        #expect(running.delayed == 2)
        #expect(running.due == 1)
        #expect(running.backlog == 1 + 1 + 1 + 3)
        #expect(paused.backlog == 0)
    }
}
