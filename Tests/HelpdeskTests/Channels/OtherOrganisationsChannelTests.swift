import Foundation
import Functions
import Postgres
import Testing

@Suite struct OtherOrganisationsChannelTests {
    @Test(arguments: ["get-channel", "update-channel", "delete-channel", "list-channel-templates"])
    func isAsIfItWereNot(function: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let stranger = try await world.admin()
            let id = try await world.call("create-channel", as: jane, body: .mock).text("id")

            let reply = try await world.call(function, as: stranger, path: ["channelId": id], body: ["name": "Mine"])

            let nowhere = UUID().uuidString.lowercased()
            #expect(reply.status == 404)
            #expect(
                try await world.call(function, as: stranger, path: ["channelId": nowhere], body: ["name": "Mine"])
                    == reply
            )
            #expect(try await world.call("get-channel", as: jane, path: ["channelId": id])["name"] == "Web")
        }
    }
}
