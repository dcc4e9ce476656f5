import Foundation
import Functions
import Postgres
import Testing

@Suite struct UpdateOrganisationTests {
    @Test func mergesSettingsKeyByKeyAndRecordsWhatChanged() async throws {
        try await World.with { world in
            let jane = try await world.admin("Acme")
            let quiet: JSON = ["from": "21:00", "to": "08:00"]
            _ = try await change(["settings": ["reopenWithinHours": 48, "quietHours": quiet]], as: jane, in: world)

            let reply = try await change(
                ["name": "Acme 2", "timezone": "Europe/Berlin", "settings": ["reopenWithinHours": nil]],
                as: jane,
                in: world
            )

            #expect(reply.status == 200)
            #expect(reply["name"] == "Acme 2")
            #expect(reply["timezone"] == "Europe/Berlin")
            #expect(reply["settings.reopenWithinHours"] == 24)
            #expect(reply["settings.quietHours.from"] == "21:00")
            #expect(reply["settings.assignment"] == "manual")
            let changes = try await world.column(
                "SELECT changes::text FROM audit WHERE action = 'org.update' ORDER BY created_at DESC LIMIT 1"
            )
            let recorded = try JSON.parse(Array((changes[0] ?? "").utf8))
            #expect(recorded["name"]?["from"] == "Acme")
            #expect(recorded["timezone"]?["to"] == "Europe/Berlin")
            #expect(recorded["settings.reopenWithinHours"]?["from"] == 48)
            #expect(recorded["settings.reopenWithinHours"]?["to"] == 24)
            #expect(recorded.members?.count == 3)
        }
    }

    @Test func writesNothingWhereNothingChanges() async throws {
        try await World.with { world in
            let jane = try await world.admin("Acme")
            let before = try await world.call("get-organisation", as: jane)

            for body: JSON in [[:], ["name": "Acme"], ["settings": ["reopenWithinHours": 24, "quietHours": nil]]] {
                #expect(try await change(body, as: jane, in: world) == before)
            }

            #expect(try await world.audited(jane.organisation) == ["auth.signup"])
        }
    }

    @Test(arguments: [
        (#"{"name": null}"#, "/name"), (#"{"name": " "}"#, "/name"), (#"{"timezone": "Mars/Olympus"}"#, "/timezone"),
        (#"{"settings": {"reopenWithinHours": 721}}"#, "/settings/reopenWithinHours"),
        (#"{"settings": {"assignment": "random"}}"#, "/settings/assignment"),
        (#"{"settings": {"colour": "red"}}"#, "/settings/colour"),
        (#"{"settings": {"quietHours": {"from": "24:00", "to": "08:00"}}}"#, "/settings/quietHours/from"),
        (#"{"settings": {"quietHours": {"from": "08:00", "to": "08:00"}}}"#, "/settings/quietHours/to"),
        (#"{"settings": {"campaignCap": {"messages": 3}}}"#, "/settings/campaignCap/days"),
        (#"{"slug": "acme"}"#, "/slug"),
    ])
    func namesWhatIsWrong(body: String, pointer: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await change(try JSON.parse(Array(body.utf8)), as: jane, in: world)

            #expect(reply.status == 422)
            #expect(reply.faults.map { String($0.split(separator: " ")[0]) } == [pointer])
        }
    }

    private func change(_ body: JSON, as caller: Caller, in world: World) async throws -> World.Reply {
        try await world.call("update-organisation", as: caller, body: body)
    }
}
