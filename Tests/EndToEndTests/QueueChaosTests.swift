import TestSupport
import Testing

/// The short form of `runner bench queue --chaos`.
@Suite struct QueueChaosTests {
    @Test func everyJobCompletesThoughWorkersAndRedisAreKilled() async throws {
        let chaos = try await Command.run(["bench", "queue", "--chaos", "--jobs", "1500", "--seconds", "4"])

        #expect(chaos.status == 0, "\(chaos.output)\(chaos.errors)")
        #expect(chaos.output.contains("1500 of 1500 jobs completed, 4 workers and 2 Redis killed"))
    }
}
