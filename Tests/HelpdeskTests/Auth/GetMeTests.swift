import Foundation
import Functions
import Postgres
import Testing

@Suite struct GetMeTests {
    @Test func tellsWhoWhereAndWhat() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)

            let admin = try await world.call("get-me", as: jane)
            let agent = try await world.call("get-me", as: joe)

            #expect(admin.json.members?.map(\.name) == ["user", "organisation", "permissions"])
            #expect(admin.text("user.email") == jane.email)
            #expect(admin["permissions"]?.array?.contains("tickets.assign") == true)
            #expect(agent["permissions"]?.array?.contains("tickets.read") == true)
            #expect(agent["permissions"]?.array?.contains("tickets.assign") == false)
        }
    }

    @Test func isRefusedFromTheMomentOfADeactivation() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)

            _ = try await world.owner.query("UPDATE users SET status = 'deactivated' WHERE id = \(joe.user)")

            #expect(try await world.call("get-me", as: joe).status == 401)
        }
    }
}
