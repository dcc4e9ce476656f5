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

    /// How even it is shows only where nothing else is done: by the command itself, which then ends with 0. Here a provider that
    /// hears of the first ones late sees a shorter run; workers that don't share the rate would make it several times as fast.
    @Test func fourWorkersTogetherKeepToARate() async throws {
        let bench = try await Command.run(
            ["bench", "campaign", "--rate", "50", "--seconds", "12"],
            within: .seconds(300)
        )
        let sent = try #require(bench.output.firstMatch(of: /(\d+) of (\d+) sent at ([\d.]+)\/s/), "\(bench.errors)")

        #expect(sent.1 == "600" && sent.2 == "600")
        #expect(try #require(Double(sent.3)) <= 75, "\(bench.output)")
    }
}
