import Foundation
import Functions
import Postgres
import Testing

@Suite struct ListChannelsTests {
    @Test func pagesFromTheNewestOn() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            for number in 1...5 {
                _ = try await world.call(
                    "create-channel",
                    as: jane,
                    body: ["type": "mock", "name": .string("\(number)")]
                )
            }

            var names: [String] = []
            var cursor: String?
            repeat {
                let query = [("limit", "2")] + (cursor.map { [("cursor", $0)] } ?? [])
                let reply = try await world.call("list-channels", as: jane, query: query)
                names += reply["data"]?.array?.compactMap { $0["name"]?.string } ?? []
                cursor = reply["nextCursor"]?.string
            } while cursor != nil

            #expect(names == ["5", "4", "3", "2", "1"])
        }
    }

    @Test func refusesACursorOfAnotherOrganisation() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let stranger = try await world.admin()
            for _ in 1...2 { _ = try await world.call("create-channel", as: jane, body: .mock) }
            let cursor = try await world.call("list-channels", as: jane, query: [("limit", "1")]).text("nextCursor")

            let reply = try await world.call("list-channels", as: stranger, query: [("cursor", cursor)])

            #expect(reply.status == 422)
            #expect(try await world.call("list-channels", as: stranger)["data"] == [])
        }
    }
}
