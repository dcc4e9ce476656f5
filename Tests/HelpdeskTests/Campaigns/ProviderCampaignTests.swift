import Foundation
import Functions
import Postgres
import TestSupport
import Testing

/// Campaigns on a WhatsApp channel, against a stand-in.
@Suite struct ProviderCampaignTests {
    private func started(_ world: World, _ caller: Caller, _ count: Int) async throws -> (
        line: String, campaign: String
    ) {
        let line = try await world.channel("whatsapp", caller)
        let made = try await world.call(
            "create-campaign",
            as: caller,
            body: [
                "name": "Friday", "channelId": .string(line),
                "message": [
                    "template": [
                        "name": "hello", "language": "en_US",
                        "components": [["type": "body", "parameters": [["type": "text", "text": "{{name|you}}"]]]],
                    ]
                ],
            ]
        )
        let id = made.text("id")
        let people = (1...count).map {
            JSON.object([.init("phone", .string("+49155500\(100 + $0)")), .init("name", "Kim")])
        }
        _ = try await world.add(people, to: id, as: caller)
        _ = try await world.act("start", id, as: caller)
        return (line, id)
    }

    private func refusal(_ code: Int) -> String {
        #"{"status": 400, "body": {"error": {"code": \#(code), "message": "No."}}}"#
    }

    @Test func sendsTheTemplateWithEachRecipientsValues() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let (_, id) = try await started(world, jane, 3)

            #expect(try await world.sendBatch(id, of: jane) == .done())

            #expect(provider.calls.count == 3)
            #expect(provider.calls.allSatisfy { $0.body.contains(#""parameters":[{"text":"Kim","type":"text"}]"#) })
            #expect(try await world.counts(id, as: jane) == ["sent": 3])
        })
    }

    @Test(arguments: [132_001, 132_000, 132_015, 132_016, 100, 131_008])
    func aBrokenTemplatePausesInsteadOfBurningEverybody(_ code: Int) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let (_, id) = try await started(world, jane, 40)
            try await provider.answer(refusal(code))

            _ = try await world.sendBatch(id, of: jane)

            #expect(try await world.call("get-campaign", as: jane, path: ["id": id])["status"] == "paused")
            let counts = try await world.counts(id, as: jane)
            #expect(counts["failed"] == 1 && (counts["pending"] ?? 0) > 0, "\(counts)")
        })
    }

    @Test(arguments: [131_026, 131_049, 130_472, 131_062, 137_000])
    func whoCantBeReachedFailsAlone(_ code: Int) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let (_, id) = try await started(world, jane, 3)
            try await provider.answer(refusal(code))

            _ = try await world.sendBatch(id, of: jane)

            #expect(try await world.counts(id, as: jane) == ["failed": 1, "sent": 2])
            #expect(try await world.stats(id, as: jane)["failuresByCode"] == .object([.init("\(code)", 1)]))
        })
    }

    @Test func whoStoppedMarketingIsOptedOut() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let (_, id) = try await started(world, jane, 3)
            try await provider.answer(refusal(131_050))

            _ = try await world.sendBatch(id, of: jane)

            #expect(try await world.counts(id, as: jane) == ["optedOut": 1, "sent": 2])
            #expect(try await world.column("SELECT count(*) FROM contacts WHERE opted_out") == ["1"])
        })
    }

    @Test func aFlaggedNumberPausesEveryCampaignOfTheChannelAndBurnsNobody() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let (_, id) = try await started(world, jane, 40)
            try await provider.answer(refusal(131_048))

            _ = try await world.sendBatch(id, of: jane)

            #expect(try await world.call("get-campaign", as: jane, path: ["id": id])["status"] == "paused")
            #expect(try await world.counts(id, as: jane)["failed"] == nil)
        })
    }

    @Test func aChannelWithoutAccessHoldsTheCampaign() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let (line, id) = try await started(world, jane, 40)
            try await provider.answer(refusal(190))

            _ = try await world.sendBatch(id, of: jane)
            let counts = try await world.counts(id, as: jane)
            let broken = try await world.call("get-channel", as: jane, path: ["channelId": line])
            _ = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": line],
                body: ["status": "active", "credentials": ["accessToken": "token-2"]]
            )
            try await world.passTime()
            while case .snooze = try await world.sendBatch(id, of: jane) { try await world.passTime() }

            #expect(broken["status"] == "error" && counts["failed"] == nil && (counts["pending"] ?? 0) > 0)
            #expect(try await world.counts(id, as: jane) == ["sent": 40])
        })
    }

    /// The answer is lost; what a webhook tells of it comes before, or not at all.
    @Test(arguments: [true, false])
    func aLostAnswerIsNeverSentTwice(_ isTold: Bool) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let (line, id) = try await started(world, jane, 1)
            try await provider.answer(#"{"cut": true}"#)
            let recipient = try await world.recipients(id, as: jane)[0]["id"]?.string ?? ""

            _ = try await world.sendBatch(id, of: jane)
            let waiting = try await world.counts(id, as: jane)
            if isTold {
                _ = try await world.change(
                    line,
                    [
                        .init("kind", "status"), .init("externalId", "wamid.1"), .init("messageId", .string(recipient)),
                        .init("status", "delivered"),
                    ]
                )
            }
            try await world.passTime()
            _ = try await world.sendBatch(id, of: jane)

            #expect(waiting == ["pending": 1])
            #expect(provider.calls.count == 1)
            #expect(try await world.counts(id, as: jane) == [isTold ? "delivered" : "failed": 1])
            if isTold {
                #expect(try await world.column("SELECT external_id FROM messages") == ["wamid.1"])
                #expect(try await world.column("SELECT template ->> 'name' FROM messages") == ["hello"])
            }
        })
    }

    @Test func aReceiptThatOvertakesTheRecordIsApplied() async throws {
        try await World.with(providers: { world, _ in
            let jane = try await world.admin()
            let (line, id) = try await started(world, jane, 2)
            _ = try await world.change(
                line,
                [.init("kind", "status"), .init("externalId", "wamid.STANDIN1="), .init("status", "read")]
            )

            _ = try await world.sendBatch(id, of: jane)

            #expect(try await world.counts(id, as: jane) == ["read": 1, "sent": 1])
        })
    }

    @Test func aFailureThatComesByWebhookPausesTooAndOptsOut() async throws {
        try await World.with(providers: { world, _ in
            let jane = try await world.admin()
            let (line, id) = try await started(world, jane, 2)
            _ = try await world.sendBatch(id, of: jane)
            _ = try await world.owner.query("UPDATE campaigns SET status = 'running', completed_at = NULL")

            _ = try await world.change(
                line,
                [
                    .init("kind", "status"), .init("externalId", "wamid.STANDIN1="), .init("status", "failed"),
                    .init("code", "132015"), .init("haltsCampaign", true),
                ]
            )
            _ = try await world.change(
                line,
                [
                    .init("kind", "status"), .init("externalId", "wamid.STANDIN2="), .init("status", "failed"),
                    .init("code", "131050"),
                ]
            )

            #expect(try await world.call("get-campaign", as: jane, path: ["id": id])["status"] == "paused")
            #expect(try await world.column("SELECT count(*) FROM contacts WHERE opted_out") == ["1"])
        })
    }
}
