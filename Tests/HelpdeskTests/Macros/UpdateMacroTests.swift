import Foundation
import Functions
import Postgres
import Testing

@Suite struct UpdateMacroTests {
    @Test func changesWhatIsGivenAndRecordsIt() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.macro(jane, "Hello", [["type": "add_tag", "value": "a"]])
            func update(_ body: JSON) async throws -> World.Reply {
                try await world.call("update-macro", as: jane, path: ["macroId": id], body: body)
            }

            let named = try await update(["name": "REFUND"])
            let same = try await update([
                "name": "REFUND", "content": "Hello", "actions": [["type": "add_tag", "value": "a"]],
            ])
            let cleared = try await update(["actions": nil])

            #expect([named, same, cleared].map(\.status) == [200, 200, 200])
            #expect(named["actions"] == [["type": "add_tag", "value": "a"]])
            #expect(cleared["actions"] == [])
            #expect(
                try await world.column(
                    "SELECT changes::text FROM audit WHERE action = 'macro.update' ORDER BY created_at"
                )
                    == [
                        #"{"name": {"to": "REFUND", "from": "Refund"}}"#,
                        #"{"actions": {"to": [], "from": [{"type": "add_tag", "value": "a"}]}}"#,
                    ]
            )
        }
    }

    @Test func refusesANameThatAnotherHas() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            _ = try await world.macro(jane, "x", name: "One")
            let two = try await world.macro(jane, "x", name: "Two")

            let reply = try await world.call("update-macro", as: jane, path: ["macroId": two], body: ["name": "oNE"])

            #expect(reply.status == 409)
        }
    }
}
