import Foundation
import Redis
import Synchronization
import Testing

@testable import Queue

@Suite struct MarkerWatchTests {
    @Test func oneConnectionWakesTheConsumersOfManyQueues() async throws {
        let worlds = try (0..<5).map { _ in try QueueWorld() }
        let redis = worlds[0].redis
        let watch = MarkerWatch(redis: redis, name: "watch-\(UUID().uuidString)")
        let seen = Mutex<[String: [ContinuousClock.Instant]]>([:])
        let consumers = worlds.map { world in
            Consumer(redis: redis, queue: world.queue, watch: watch, logger: QueueWorld.quiet) { jobs in
                seen.withLock { $0[world.queue, default: []].append(.now) }
                return jobs.map { _ in .completed() }
            }
        }
        let watching = Task { await watch.run() }
        let running = consumers.map { consumer in Task { await consumer.run() } }

        var waits: [Duration] = []
        for round in 1...10 {
            for world in worlds.shuffled() {
                let added = ContinuousClock.now
                try await world.producer.add(NewJob(name: "n", data: "{}"), to: world.queue)
                try await eventually("it has run") { seen.withLock { $0[world.queue]?.count ?? 0 } == round }
                waits.append(added.duration(to: .now))
            }
        }

        let clients = try await redis.command(["CLIENT", "LIST"]).string ?? ""
        for consumer in consumers { await consumer.stop() }
        for run in running { await run.value }
        watching.cancel()
        await watching.value
        // Generous, for machines that do much else: half of them at once rather than after the end of a wait.
        #expect(waits.sorted()[25] < .milliseconds(500), "\(waits.sorted()[25]) at the median")
        let blocked = clients.split(separator: "\n").filter { $0.contains("cmd=bzpopmin") && $0.contains(":watch-") }
        #expect(blocked.count <= 1)
    }

    /// A cluster's node refuses commands and scripts on keys of several slots, its own all of them or not.
    @Test func queuesOfDifferentSlotsAreServedOnAClusterByAConnectionEach() async throws {
        let server = try PrivateRedis()
        try server.start(asCluster: true)
        defer { server.remove() }
        let worlds = try ["{one}", "{other}"].map { try QueueWorld(url: server.url, queue: $0) }
        let redis = worlds[0].redis
        try await eventually("it has the slots") {
            _ = try? await redis.command(["CLUSTER", "ADDSLOTSRANGE", 0, 16383])  // not there yet, or done before
            return try await worlds[0].command("CLUSTER", "INFO").string?.contains("cluster_state:ok") ?? false
        }
        let watch = MarkerWatch(redis: redis, name: "watch")
        let seen = Mutex<[String: Int]>([:])
        let consumers = worlds.map { world in
            Consumer(redis: redis, queue: world.queue, watch: watch, logger: QueueWorld.quiet) { jobs in
                seen.withLock { $0[world.queue, default: 0] += 1 }
                return jobs.map { _ in .completed() }
            }
        }
        let watching = Task { await watch.run() }
        let running = consumers.map { consumer in Task { await consumer.run() } }

        try await eventually("both wait") {
            let clients = try await redis.command(["CLIENT", "LIST"]).string ?? ""
            return clients.split(separator: "\n").filter { $0.contains("cmd=bzpopmin") }.count == 2
        }
        for world in worlds {
            try await world.producer.add((0..<3).map { NewJob(name: "n", data: "\($0)") }, to: world.queue)
        }
        try await eventually("all have run") { seen.withLock { $0.values.reduce(0, +) } == 6 }

        for consumer in consumers { await consumer.stop() }
        for run in running { await run.value }
        watching.cancel()
        await watching.value
        #expect(try await worlds[0].inspector.counts("{one}").states == ["completed": 3])
        #expect(try await worlds[1].inspector.counts("{other}").states == ["completed": 3])
    }

    @Test func aMarkerForABusyConsumerGoesToAnother() async throws {
        let world = try QueueWorld()
        let watch = MarkerWatch(redis: world.redis)
        let watching = Task { await watch.run() }
        await watch.await(world.key("marker"), isWanted: { false }, wake: {})

        _ = try await world.command("ZADD", world.key("marker"), "0", "0")

        try await Task.sleep(for: .milliseconds(100))
        #expect(try await world.command("ZCARD", world.key("marker")) == .integer(1))
        watching.cancel()
        await watching.value
    }
}
