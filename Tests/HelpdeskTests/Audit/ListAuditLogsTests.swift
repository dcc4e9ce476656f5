import Foundation
import Functions
import Postgres
import Testing

@Suite struct ListAuditLogsTests {
    @Test func tellsWhoDidWhatFromWhere() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let channel = try await world.call("create-channel", as: jane, body: ["type": "mock", "name": "Web"])

            let reply = try await world.call("list-audit-logs", as: jane)

            #expect(reply["data"]?.array?.compactMap { $0["action"]?.string } == ["channel.create", "auth.signup"])
            let entry = reply["data.0"]
            #expect(entry?["actor"]?["id"]?.string == jane.user.uuidString.lowercased())
            #expect(entry?["actor"]?["name"] == "Jane Doe")
            #expect(entry?["entityType"] == "channel")
            #expect(entry?["entityId"] == channel["id"])
            #expect(entry?["changes"]?["name"]?["to"] == "Web")
            #expect(entry?["ip"]?.string == world.address)
            #expect(entry?["userAgent"] == "tests")
            #expect(entry?["requestId"] == "request-of-create-channel")
        }
    }

    @Test func filters() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            _ = try await world.call("update-organisation", as: jane, body: ["timezone": "Pacific/Auckland"])

            func actions(_ query: [(name: String, value: String)]) async throws -> [String]? {
                let reply = try await world.call("list-audit-logs", as: jane, query: query)
                return reply["data"]?.array?.compactMap { $0["action"]?.string }
            }

            #expect(try await actions([("action", "auth.login")]) == ["auth.login"])
            #expect(try await actions([("actorId", joe.user.uuidString)]) == ["auth.login"])
            #expect(try await actions([("entityType", "org")]) == ["org.update"])
            #expect(try await actions([("entityId", jane.user.uuidString)]) == ["auth.signup"])
            #expect(try await actions([("from", "2999-01-01")]) == [])
            #expect(try await actions([("from", "2020-01-01"), ("to", "2999-01-01T00:00:00Z")])?.count == 3)
        }
    }

    @Test func showsNothingOfOthers() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let stranger = try await world.admin()

            let reply = try await world.call(
                "list-audit-logs",
                as: stranger,
                query: [("entityId", jane.user.uuidString)]
            )

            #expect(reply["data"] == [])
        }
    }
}
