import Foundation
import Functions
import Postgres
import Redis
import Testing

@testable import Helpdesk

@Suite struct ChannelDirectoryTests {
    @Test func knowsAChannelByItsIdAlone() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.call("create-channel", as: jane, body: .whatsApp).text("id")

            let channel = try await ChannelDirectory.shared(world.services).find(try #require(Channel.ID(id)))

            #expect(channel?.organisation == jane.organisation)
            #expect(channel?.kind == .whatsapp)
            #expect(channel?.credentials["accessToken"] == "0123456789abcdef")
        }
    }

    @Test func hearsOfAChangeInAnotherProcess() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try #require(
                Channel.ID(try await world.call("create-channel", as: jane, body: .mock).text("id"))
            )
            let directory = ChannelDirectory.shared(world.services)
            try await Task.sleep(for: .milliseconds(300))  // the subscription is made in the background
            _ = try await directory.find(id)

            _ = try await world.owner.query("UPDATE channels SET status = 'disabled' WHERE id = \(id)")
            _ = try await world.services.redis.command(["PUBLISH", "channels", .string(id.description)])
            try await Task.sleep(for: .milliseconds(200))

            #expect(try await directory.find(id)?.status == "disabled")
        }
    }

    @Test func remembersNothingForMoreThanASecond() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try #require(
                Channel.ID(try await world.call("create-channel", as: jane, body: .mock).text("id"))
            )
            let directory = ChannelDirectory.shared(world.services)
            #expect(try await directory.find(id)?.status == "active")

            _ = try await world.owner.query("UPDATE channels SET status = 'disabled' WHERE id = \(id)")
            try await Task.sleep(for: .milliseconds(1100))

            #expect(try await directory.find(id)?.status == "disabled")
            _ = try await world.call("delete-channel", as: jane, path: ["channelId": id.description])
            #expect(try await directory.find(id) == nil)
        }
    }

    @Test func remembersThatThereIsNone() async throws {
        try await World.with { world in
            let directory = ChannelDirectory.shared(world.services)

            let id = Channel.ID()
            let first = try await directory.find(id)
            let second = try await directory.find(id)

            #expect(first == nil)
            #expect(second == nil)
        }
    }
}
