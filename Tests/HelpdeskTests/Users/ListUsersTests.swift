import Foundation
import Functions
import Postgres
import Testing

@Suite struct ListUsersTests {
    @Test func listsByNameWithoutRegardToCaseAPageAtATime() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            _ = try await world.admin("Others")
            for name in ["zoe", "Adam", "émile", "adam"] {
                _ = try await world.owner.query(
                    """
                    INSERT INTO users (org_id, email, name, role, password_hash)
                    VALUES (\(jane.organisation), \("\(UUID())@example.com"), \(name), 'agent', 'x')
                    """
                )
            }
            var names: [String] = []
            var cursor: String?
            repeat {
                let query = [("limit", "2")] + (cursor.map { [("cursor", $0)] } ?? [])
                let page = try await world.call("list-users", as: jane, query: query.map { (name: $0, value: $1) })
                #expect(page.status == 200)
                names += page["data"]?.array?.compactMap { $0["name"]?.string } ?? []
                cursor = page["nextCursor"]?.string
            } while cursor != nil && names.count < 20

            #expect(Set(names.prefix(2)) == ["Adam", "adam"])
            #expect(names.dropFirst(2) == ["Jane Doe", "zoe", "émile"])
        }
    }

    @Test(arguments: [
        ("role", "admin", ["Jane Doe"]), ("role", "agent", ["Bob", "Joe Bloggs"]), ("status", "deactivated", ["Bob"]),
        ("q", "JOE", ["Joe Bloggs"]), ("q", "bob@exam", ["Bob"]), ("q", "%", []), ("q", "_", []),
    ])
    func narrows(_ parameter: String, _ value: String, to names: [String]) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            _ = try await world.agent(of: jane)
            _ = try await world.owner.query(
                """
                INSERT INTO users (org_id, email, name, role, status, password_hash)
                VALUES (\(jane.organisation), 'Bob@Example.com', 'Bob', 'agent', 'deactivated', 'x')
                """
            )

            let reply = try await world.call("list-users", as: jane, query: [(parameter, value)])

            #expect(reply["data"]?.array?.map { $0["name"]?.string } == names)
        }
    }

    @Test func anAgentSeesTheMembersToo() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)

            let reply = try await world.call("list-users", as: joe)

            #expect(reply["data"]?.array?.count == 2)
            #expect(reply["data.0"]?["passwordHash"] == nil)
        }
    }
}
