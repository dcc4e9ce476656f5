import Foundation
import Functions
import Postgres
import Testing

/// Creating, starting, pausing, resuming, cancelling.
@Suite struct CampaignLifeTests {
    @Test func aDraftHasTheChannelsPace() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            let id = try await world.campaign(jane, on: web)
            let slow = try await world.campaign(jane, on: web, perSecond: 5)

            let reply = try await world.call("get-campaign", as: jane, path: ["id": id])
            #expect(reply["status"] == "draft")
            #expect(reply["rateLimit.perSecond"] == 10_000)
            #expect(reply["recipientCount"] == 0)
            #expect(reply["message"] == ["text": "Hello {{name|there}}"])
            let list = try await world.call(
                "list-campaigns",
                as: jane,
                query: [("status", "draft"), ("channelId", web)]
            )
            #expect(list["data"]?.array?.map { $0["id"] } == [.string(slow), .string(id)])
            #expect(try await world.audited(jane.organisation).filter { $0 == "campaign.create" }.count == 2)
        }
    }

    @Test(arguments: [
        (
            #"{"type": "linkedin", "clientId": "a", "clientSecret": "b", "accessToken": "c", "organizationUrn": "d"}"#,
            "/channelId"
        ),
        (
            #"{"type": "whatsapp", "accessToken": "a", "appSecret": "b", "verifyToken": "c", "phoneNumberId": "d", "businessAccountId": "e"}"#,
            "/message/template"
        ),
    ])
    func refusesWhatAChannelTakesNoCampaignsFor(channel: String, pointer: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let given = try JSON.parse(channel)
            let credentials = (given.members ?? []).filter { $0.name != "type" }
            let made = try await world.call(
                "create-channel",
                as: jane,
                body: ["type": given["type"] ?? .null, "name": "Main", "credentials": .object(credentials)]
            )

            let reply = try await world.call(
                "create-campaign",
                as: jane,
                body: ["name": "x", "channelId": .string(made.text("id")), "message": ["text": "x"]]
            )

            #expect(reply.status == 422)
            #expect(reply.faults.allSatisfy { $0.hasPrefix(pointer) } && !reply.faults.isEmpty)
        }
    }

    @Test func eachVerbFitsSomeStatesOnly() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let empty = try await world.campaign(jane, on: web)
            let id = try await world.campaign(jane, on: web, recipients: 3)

            #expect(try await world.act("start", empty, as: jane).status == 409)
            var statuses: [Int] = []
            for verb in ["pause", "resume", "start", "start", "pause", "pause", "resume", "cancel", "cancel", "resume"]
            {
                statuses.append(try await world.act(verb, id, as: jane).status)
            }

            #expect(statuses == [409, 409, 202, 409, 202, 409, 202, 202, 409, 409])
            #expect(try await world.counts(id, as: jane) == ["cancelled": 3])
            #expect(
                try await world.audited(jane.organisation).compactMap { $0 }.filter { $0.hasPrefix("campaign.") }
                    == [
                        "campaign.create", "campaign.create", "campaign.recipients", "campaign.start", "campaign.pause",
                        "campaign.resume", "campaign.cancel",
                    ]
            )
        }
    }

    @Test func startsAtItsTimeAndNotBefore() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 2)

            let past = try await world.act("start", id, as: jane, body: ["scheduledAt": "2020-01-01T00:00:00Z"])
            let soon = Date().addingTimeInterval(3600).rfc3339
            let scheduled = try await world.act("start", id, as: jane, body: ["scheduledAt": .string(soon)])
            try await world.runSchedule("start-campaigns")
            let before = try await world.call("get-campaign", as: jane, path: ["id": id])
            _ = try await world.owner.query("UPDATE campaigns SET scheduled_at = now() - interval '1 second'")
            try await world.runSchedule("start-campaigns")
            try await world.runSchedule("start-campaigns")

            #expect(past.status == 422)
            #expect(scheduled.status == 202 && scheduled["status"] == "scheduled")
            #expect(before["status"] == "scheduled")
            #expect(try await world.call("get-campaign", as: jane, path: ["id": id])["status"] == "running")
            #expect(try await world.queued("campaigns").isEmpty == false)
            #expect(try await world.sendBatch(id, of: jane) == .done())
            #expect(try await world.counts(id, as: jane) == ["delivered": 2])
        }
    }

    @Test func aChannelThatIsGoneStartsNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.campaign(jane, on: web, recipients: 1)
            _ = try await world.call("update-channel", as: jane, path: ["channelId": web], body: ["status": "disabled"])

            #expect(try await world.act("start", id, as: jane).status == 409)
        }
    }

    @Test func rehearsingTellsWhomItReachesAndSendsNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.campaign(jane, on: web, text: "{{name|You}} in {{variables.city}}", perSecond: 1)
            try await world.receive(web, .init(text: "STOP", phone: "+491500001"))
            _ = try await world.add(
                [
                    ["phone": "+491500001"], ["phone": "+491500002", "name": "Kim", "variables": ["city": "Köln"]],
                    ["phone": "+491500003"], ["phone": "+491500004", "variables": ["city": "Bonn"]],
                ],
                to: id,
                as: jane
            )

            let reply = try await world.act("rehearse", id, as: jane)

            #expect(reply.status == 200)
            #expect(reply["recipients"] == 2)
            #expect(reply["excluded.optedOut"] == 1 && reply["excluded.missingVariable"] == 1)
            #expect(reply["estimatedSeconds"] == 2)
            #expect(reply["samples"]?.array?.map { $0["text"] } == ["Kim in Köln", "You in Bonn"])
            #expect(reply["missingVariables"] == ["variables.city"])
            #expect(try await world.counts(id, as: jane) == ["pending": 3, "optedOut": 1])
            #expect(try await world.column("SELECT count(*) FROM messages WHERE author_type = 'campaign'") == ["0"])
        }
    }
}
