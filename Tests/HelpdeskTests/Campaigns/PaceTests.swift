import Foundation
import Functions
import Redis
import Testing

@testable import Helpdesk

@Suite struct PaceTests {
    private func pace(
        _ world: World,
        _ channel: Channel.ID,
        _ perSecond: Int,
        campaign: Campaign.ID = Campaign.ID()
    ) -> Pace {
        Pace(world.services.redis, channel: channel, kind: .mock, campaign: campaign, perSecond: perSecond)
    }

    /// One that has given slots out, the next of which was due so long ago.
    private func latePace(_ world: World, _ channel: Channel.ID, _ perSecond: Int, by milliseconds: Int) async throws
        -> Pace
    {
        let campaign = Campaign.ID()
        let pace = pace(world, channel, perSecond, campaign: campaign)
        _ = try await pace.reserve(1, horizon: 1)
        _ = try await world.services.redis.evaluate(
            RedisScript(
                name: "set-back",
                source: """
                    local time = redis.call('TIME')
                    local due = string.format('%.0f', time[1] * 1000000 + time[2] - ARGV[1] * 1000)
                    for _, key in ipairs(KEYS) do redis.call('HSET', key, 'next', due, 'planned', due) end
                    return 0
                    """
            ),
            keys: ["pace:channel:\(channel)", "pace:run:\(campaign)"],
            arguments: [.integer(Int64(milliseconds))]
        )
        return pace
    }

    @Test func slotsAreEvenlySpacedAndNobodyGetsMoreThanTheHorizon() async throws {
        try await World.with { world in
            let pace = pace(world, Channel.ID(), 50)
            let began = ContinuousClock.now

            let first = try await pace.reserve(1000, horizon: 1)
            let second = try await pace.reserve(1000, horizon: 1)
            let passed = ContinuousClock.now - began

            // A second's worth and what a late caller makes good.
            #expect((51...55).contains(first.count))
            #expect(first.spacing == 0.02)
            #expect(second.count <= 2 + Int(passed / .milliseconds(20)))
        }
    }

    @Test func whatIsLateIsMadeGoodLittleByLittle() async throws {
        try await World.with { world in
            let pace = try await latePace(world, Channel.ID(), 1000, by: 400)

            let late = try await pace.reserve(1_000_000, horizon: 1000)
            let usual = try await pace.reserve(100, horizon: 1000)

            // Each of those that are squeezed makes 50 µs good of the 0.4 s and more; a twentieth of a second was at once.
            #expect(late.delay >= -0.05 && late.delay <= 0)
            #expect(late.spacing == 0.00095 && late.gap == late.spacing)
            #expect(late.count >= 7000 && late.count < 40_000)
            #expect(usual.spacing == 0.001)
        }
    }

    @Test func theChannelsOwnRateIsNeverExceeded() async throws {
        try await World.with { world in
            let pace = try await latePace(world, Channel.ID(), 10_000, by: 400)

            let slots = try await pace.reserve(100, horizon: 1)

            #expect(slots.spacing == 0.0001 && slots.gap == slots.spacing)
        }
    }

    @Test func idleTimeIsNotSavedUp() async throws {
        try await World.with { world in
            let pace = try await latePace(world, Channel.ID(), 1000, by: 2001)

            let later = try await pace.reserve(100, horizon: 1)

            #expect(later.spacing == 0.001)
        }
    }

    @Test func nothingIsMadeGoodWhileAMemberWaits() async throws {
        try await World.with { world in
            let channel = Channel.ID()
            let pace = try await latePace(world, channel, 1000, by: 400)
            await Pace.announceAgent(on: channel, world.services.redis)

            let slots = try await pace.reserve(100, horizon: 1)

            #expect(slots.spacing == 0.001 && slots.gap == slots.spacing)
        }
    }

    @Test func theGateKeepsLateOnesApart() {
        let gate = PaceGate()
        let campaign = Campaign.ID()
        let now = ContinuousClock.now
        let late = (0..<4).map {
            gate.pass(campaign, slot: now - .seconds(1) + .milliseconds($0), gap: .milliseconds(20))
        }
        let other = gate.pass(Campaign.ID(), slot: now + .seconds(1), gap: .milliseconds(20))

        #expect(late[0] >= now - .milliseconds(30))
        #expect(zip(late, late.dropFirst()).allSatisfy { $1 - $0 >= .milliseconds(20) })
        #expect(other == now + .seconds(1))
    }

    @Test func campaignsOfOneChannelShareItsRate() async throws {
        try await World.with { world in
            let channel = Channel.ID()

            let began = ContinuousClock.now
            let one = try await pace(world, channel, 10_000).reserve(5000, horizon: 1)
            let other = try await pace(world, channel, 10_000).reserve(5000, horizon: 1)
            let passed = ContinuousClock.now - began

            #expect(one.count == 5000 && other.count == 5000)
            #expect(other.delay > 0.4 - passed / .seconds(1))
        }
    }

    @Test(arguments: [
        (Channel.Kind.whatsapp, 200, 200), (.whatsapp, 10, 60), (.facebook, 1000, 300), (.mock, 5, 10_000),
    ])
    func onlyWhatsAppTakesMoreThanUsualOfWhoAsksForIt(kind: Channel.Kind, asked: Int, limit: Int) {
        #expect(Campaign.limit(of: kind, asked: asked) == limit)
    }

    @Test func aProvidersLimitSlowsTheChannelAndAMembersMessageLeavesRoom() async throws {
        try await World.with { world in
            let channel = Channel.ID()
            await Pace.announceAgent(on: channel, world.services.redis)

            let beside = try await pace(world, channel, 10_000).reserve(10, horizon: 1)
            let began = ContinuousClock.now
            await pace(world, channel, 10_000).slow(for: .milliseconds(300))
            let slowed = try await pace(world, channel, 10_000).reserve(10, horizon: 1)
            let passed = ContinuousClock.now - began

            #expect(beside.spacing == 0.000125)
            #expect(slowed.delay > 0.29 - passed / .seconds(1))
            #expect(slowed.spacing > 0.00019 - 0.00003 * (passed / .seconds(1)))
        }
    }
}

@Suite struct CampaignMessageTests {
    @Test(arguments: [
        ("Hi {{name}}", "Hi Kim"), ("{{ variables.city | the town }}", "Köln"), ("{{variables.x|there}}", "there"),
        ("{{variables.x|}}!", "!"), ("{{name", "{{name"), ("{{}} {name} }}", "{{}} {name} }}"),
        ("{{{name}}}", "{{{name}}}"),
        ("{{variables.n}}{{phone}}", "7+491500001"),
    ])
    func fillsItsVariables(text: String, expected: String) throws {
        let message = CampaignMessage(["text": .string(text)])
        let values = RecipientValues(
            name: "Kim",
            phone: "+491500001",
            handle: nil,
            variables: ["city": "Köln", "n": 7]
        )

        #expect(try message.render { values[$0] }.text == expected)
    }

    @Test func namesEachVariableThatIsMissingOnce() {
        let message = CampaignMessage([
            "template": [
                "name": "n", "language": "en", "components": ["{{a}}", ["x": "{{variables.b}}{{a}}{{name|you}}"]],
            ]
        ])

        #expect(message.needed == ["a", "variables.b"])
        #expect(throws: CampaignMessage.Missing(names: ["a", "variables.b"])) { try message.render { _ in nil } }
        #expect(
            (try? message.render { $0 })?.template
                == #"{"name":"n","language":"en","components":["a",{"x":"variables.bayou"}]}"#.replacing(
                    "ayou",
                    with: "aname"
                )
        )
    }
}

@Suite struct QuietHoursTests {
    @Test(arguments: [
        ("+491500001", "2026-01-10T20:30:00Z", "2026-01-11T07:00:00.000Z"),
        ("+491500001", "2026-07-10T05:59:00Z", "2026-07-10T06:00:00.000Z"),
        ("+491500001", "2026-01-10T12:00:00Z", nil), ("+919000001", "2026-01-10T20:30:00Z", "2026-01-11T02:30:00.000Z"),
        // A number of a country with several zones tells none.
        ("+14155550123", "2026-01-10T23:30:00Z", nil),
    ])
    func endInTheZoneOfTheNumber(phone: String, at: String, end: String?) throws {
        let hours = try #require(QuietHours(["from": "21:00", "to": "08:00"]))
        let date = try #require(RFC3339.parse(at))

        #expect(hours.end(for: phone, at: date)?.rfc3339 == end)
    }
}
