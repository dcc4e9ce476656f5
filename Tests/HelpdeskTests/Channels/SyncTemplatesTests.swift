import Foundation
import Functions
import Postgres
import TestSupport
import Testing

@testable import Helpdesk

@Suite struct SyncTemplatesTests {
    private static let page = """
        {"body": {"data": [
          {"name": "parcel", "language": "en_US", "status": "APPROVED", "category": "UTILITY", "components": [
            {"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hi {{1}}, parcel {{2}} is on its way, {{1}}."},
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY"}, {"type": "URL", "url": "https://x.example/{{1}}"}]}]},
          {"name": "parcel", "language": "de", "status": "PAUSED", "category": "UTILITY", "components": []},
          {"name": "hello", "language": "en_US", "status": "APPROVED", "category": "MARKETING",
           "components": [{"type": "BODY", "text": "Hello {{ first_name }}"}]}]}}
        """

    private func synced(_ world: World, _ provider: StandInProvider, _ caller: Caller) async throws -> String {
        let line = try await world.channel("whatsapp", caller)
        try await provider.answer(Self.page)
        try await world.runSchedule("sync-templates")
        return line
    }

    private func list(_ world: World, _ line: String, _ caller: Caller, _ cursor: String? = nil) async throws
        -> World.Reply
    {
        try await world.call(
            "list-channel-templates",
            as: caller,
            path: ["channelId": line],
            query: [("limit", "2")] + (cursor.map { [("cursor", $0)] } ?? [])
        )
    }

    @Test func listsWhatTheAccountHas() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await synced(world, provider, jane)

            let first = try await list(world, line, jane)
            let second = try await list(world, line, jane, first["nextCursor"]?.string)

            #expect(first["data"]?.array?.map { $0["name"] } == ["hello", "parcel"])
            #expect(second["data"]?.array?.map { $0["language"] } == ["en_US"])
            #expect(second["nextCursor"] == .null)
            #expect(first["data.0.components.0.text"] == "Hello {{ first_name }}")
            #expect(first["data.1.status"] == "PAUSED")
            #expect(provider.calls.first?.headers["authorization"] == "Bearer token-1")
        })
    }

    @Test func asksOnceAnHourAndKeepsWhatItHasWhenAskedInVain() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await synced(world, provider, jane)

            try await world.runSchedule("sync-templates")
            let calls = provider.calls.count
            _ = try await world.owner.query("UPDATE channels SET templates_tried_at = now() - interval '61 minutes'")
            try await provider.answer(#"{"status": 400, "body": {"error": {"code": 190, "message": "Expired."}}}"#)
            try await world.runSchedule("sync-templates")

            #expect(calls == 1 && provider.calls.count == 2)
            #expect(try await list(world, line, jane)["data"]?.array?.count == 2)
        })
    }

    @Test(
        arguments: [
            (["name": "nothing", "language": "en_US"], "/template/name is no template of the channel's account"),
            (
                ["name": "parcel", "language": "fr"],
                "/template/language is none of the template's languages: de, en_US"
            ),
            (["name": "parcel", "language": "de"], "/template/name can't be sent: the provider says it is PAUSED"),
            (
                ["name": "hello", "language": "en_US"],
                "/template/components give the template's body 0 parameters, and it takes 1"
            ),
            (
                [
                    "name": "hello", "language": "en_US",
                    "components": [
                        [
                            "type": "body",
                            "parameters": [["type": "text", "text": "a", "parameter_name": "first_name"]],
                        ]
                    ],
                ],
                nil
            ),
            (
                [
                    "name": "parcel", "language": "en_US",
                    "components": [
                        [
                            "type": "header",
                            "parameters": [["type": "image", "image": ["link": "https://files.example/a.png"]]],
                        ],
                        [
                            "type": "body",
                            "parameters": [["type": "text", "text": "a"], ["type": "text", "text": "b"]],
                        ],
                        [
                            "type": "button", "sub_type": "url", "index": "1",
                            "parameters": [["type": "text", "text": "c"]],
                        ],
                    ],
                ],
                nil
            ),
        ] as [(JSON, String?)]
    )
    func checksATemplateAgainstTheAccounts(_ template: JSON, _ fault: String?) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await synced(world, provider, jane)
            let id = try await world.conversation(line, of: jane, hoursAgo: 48)

            let reply = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: ["template": template]
            )
            let campaign = try await world.call(
                "create-campaign",
                as: jane,
                body: ["name": "C", "channelId": .string(line), "message": ["template": template]]
            )
            let ticket = try await world.call(
                "create-ticket",
                as: jane,
                body: [
                    "channelId": .string(line), "contact": ["phone": "+4915550009"], "message": ["template": template],
                ]
            )

            #expect(reply.faults == (fault.map { [$0] } ?? []))
            #expect(campaign.faults == (fault.map { ["/message" + $0] } ?? []))
            #expect(ticket.faults == (fault.map { ["/message" + $0] } ?? []))
        })
    }

    @Test func takesAnyTemplateUntilTheAccountHasTold() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let line = try await world.channel("whatsapp", jane)
            let id = try await world.conversation(line, of: jane, hoursAgo: 48)
            try await world.runSchedule("sync-templates")

            let reply = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: ["template": ["name": "anything", "language": "en_US"]]
            )

            #expect(reply.status == 201)
            #expect(try await list(world, line, jane)["data"] == [])
        }
    }

    @Test(arguments: [
        ("Hi {{1}} and {{2}}, {{1}}", 2), ("no", 0), ("{{ name }} {{}} {x} {{open", 1), ("{{a}}{{b}}", 2),
    ])
    func countsVariables(_ text: String, _ count: Int) {
        #expect(MessageTemplate.variables(in: text).count == count)
    }
}
