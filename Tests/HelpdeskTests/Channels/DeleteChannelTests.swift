import Foundation
import Functions
import Postgres
import Testing

@Suite struct DeleteChannelTests {
    @Test func endsTheChannelAndWhatIsQueuedOnIt() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.call("create-channel", as: jane, body: .mock).text("id")
            try await world.queueMessage(on: id, of: jane)

            let reply = try await world.call("delete-channel", as: jane, path: ["channelId": id])

            #expect(reply.status == 204)
            for function in ["get-channel", "delete-channel", "list-channel-templates"] {
                #expect(try await world.call(function, as: jane, path: ["channelId": id]).status == 404)
            }
            #expect(
                try await world.call("update-channel", as: jane, path: ["channelId": id], body: ["name": "x"]).status
                    == 404
            )
            #expect(try await world.call("list-channels", as: jane)["data"] == [])
            #expect(
                try await world.column("SELECT status || ' ' || error_code FROM messages") == ["failed channel_gone"]
            )
            #expect(
                try await world.audited(jane.organisation) == ["auth.signup", "channel.create", "channel.delete"]
            )
        }
    }
}
