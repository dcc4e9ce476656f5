import Functions
import Postgres
import Testing

@Suite struct DeleteApiKeyTests {
    @Test func theNextRequestOfADeletedOrExpiredKeyIs401() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let one = try await world.key(jane, role: "agent")
            let two = try await world.key(jane, role: "agent")
            func statuses() async throws -> [Int] {
                [
                    try await world.call("list-tickets", with: one.text("key")).status,
                    try await world.call("list-tickets", with: two.text("key")).status,
                ]
            }
            let before = try await statuses()

            let reply = try await world.call("delete-api-key", as: jane, path: ["apiKeyId": one.text("id")])
            _ = try await world.owner.query("UPDATE api_keys SET expires_at = now() WHERE id = \(two.text("id"))::uuid")

            #expect(before == [200, 200])
            #expect(reply.status == 204)
            #expect(try await statuses() == [401, 401])
            #expect(try await world.call("delete-api-key", as: jane, path: ["apiKeyId": one.text("id")]).status == 404)
            #expect(try await world.audited(jane.organisation).last == "api_key.delete")
        }
    }

    @Test func aKeyMayDeleteItself() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let key = try await world.key(jane, role: "admin", name: "Robot")

            let reply = try await world.call(
                "delete-api-key",
                with: key.text("key"),
                path: ["apiKeyId": key.text("id")]
            )

            #expect(reply.status == 204)
            #expect(
                try await world.column("SELECT actor_name FROM audit WHERE action = 'api_key.delete'") == ["Robot"]
            )
        }
    }
}
