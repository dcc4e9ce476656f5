import Functions
import Postgres
import Testing

@Suite struct ListApiKeysTests {
    @Test func showsTheNewestFirstAndNeverAKey() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let keys = [
                try await world.key(jane, role: "agent", name: "One"),
                try await world.key(jane, role: "admin", name: "Two"),
            ]

            let reply = try await world.call("list-api-keys", as: jane)

            #expect(reply["data"]?.array?.map { $0["name"] } == ["Two", "One"])
            #expect(reply["data.0.key"] == nil)
            for key in keys { #expect(!reply.json.text.contains(key.text("key"))) }
        }
    }
}
