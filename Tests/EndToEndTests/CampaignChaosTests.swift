import TestSupport
import Testing

/// Short forms of `runner bench campaign`.
@Suite struct CampaignChaosTests {
    @Test func everybodyIsSentToOnceThoughWorkersAndServersDieAndTheProviderFails() async throws {
        let chaos = try await Command.run(
            ["bench", "campaign", "--chaos", "--recipients", "3000", "--rate", "250", "--hurry"],
            within: .seconds(300)
        )

        #expect(chaos.status == 0, "\(chaos.output)\(chaos.errors)")
        #expect(chaos.output.contains("of these more than once: 0"))
        #expect(chaos.output.contains("PostgreSQL and Redis restarted"))
    }

    /// Other work on the machine makes sends late, so it has more than one try.
    @Test func fourWorkersKeepToARateEvenly() async throws {
        var tries: [Command] = []
        for _ in 1...3 where tries.last?.status != 0 {
            tries.append(
                try await Command.run(
                    ["bench", "campaign", "--rate", "50", "--seconds", "12"],
                    within: .seconds(300)
                )
            )
        }

        #expect(tries.last?.status == 0, "\(tries.map { $0.output + $0.errors })")
        #expect(tries.last?.output.contains("600 of 600 sent") == true)
    }
}
