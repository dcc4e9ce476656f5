import TestSupport
import Testing

/// Short forms of `runner bench campaign`.
@Suite struct CampaignChaosTests {
    @Test func everybodyIsSentToOnceThoughWorkersAndServersDieAndTheProviderFails() async throws {
        let chaos = try await Command.run(
            ["bench", "campaign", "--chaos", "--recipients", "3000", "--rate", "250", "--hurry"],
            within: .seconds(300)
        )

        for line in [
            "PostgreSQL and Redis restarted", "of these more than once: 0", "failed otherwise 0, pending 0",
            "of these not outcome_unknown: 0", "sent without the provider's answer, or answered without being sent: 0",
            "not adding up: 0",
        ] { #expect(chaos.output.contains(line), "\(line): \(chaos.output)\(chaos.errors)") }
        // A machine that stands still for longer than a call may take makes some; the command ends with 1 for any.
        let unexplained = try #require(chaos.output.firstMatch(of: /for no reason: (\d+)/), "\(chaos.errors)")
        #expect(try #require(Int(unexplained.1)) < 300, "\(chaos.output)")
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
