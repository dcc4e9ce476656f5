import Foundation
import Functions
import Postgres
import TestSupport
import Testing

@testable import Helpdesk

@Suite struct RenewTokensTests {
    private func line(_ world: World, _ caller: Caller, login: String = "instagram") async throws -> String {
        try await world.channel("instagram", caller, adding: [.init("login", .string(login)), .init("pageId", "1")])
    }

    /// Of the requests for a new token: the token that each came with.
    private func asked(_ provider: StandInProvider) -> [String] {
        provider.calls.filter { $0.path.contains("/refresh_access_token?grant_type=ig_refresh_token&") }
            .map { $0.path.split(separator: "=").last.map(String.init) ?? "" }
    }

    private func dueInDays(_ world: World) async throws -> [String?] {
        try await world.column(
            "SELECT round((extract(epoch FROM token_due_at - now()) / 86400)::numeric, 1)::float8::text FROM channels"
        )
    }

    @Test func renewsATokenOnceAndAgainAfterAMonth() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await line(world, jane)

            try await world.runSchedule("renew-tokens")
            try await world.runSchedule("renew-tokens")
            let once = asked(provider)
            _ = try await world.owner.query("UPDATE channels SET token_due_at = now() - interval '1 second'")
            try await world.runSchedule("renew-tokens")

            #expect(once == ["token-1"])
            #expect(asked(provider) == ["token-1", "access-1"])
            #expect(try await dueInDays(world) == ["30"])
            let ticket = try await world.conversation(line, of: jane)
            _ = try await world.send("hello", ticket, as: jane)
            _ = try await world.deliver(ticket, of: jane)
            #expect(provider.calls.last?.headers["authorization"] == "Bearer access-2")
        })
    }

    @Test func renewsOnceHoweverManyRunAtOnce() async throws {
        try await World.with(providers: { world, provider in
            _ = try await line(world, try await world.admin())

            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await world.runSchedule("renew-tokens") } }
                try await group.waitForAll()
            }

            #expect(asked(provider) == ["token-1"])
        })
    }

    @Test func aTokenThatIsPutInIsLookedAtAnew() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await line(world, jane)
            try await world.runSchedule("renew-tokens")

            _ = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": line],
                body: ["credentials": ["accessToken": "token-2"]]
            )
            try await world.runSchedule("renew-tokens")

            #expect(asked(provider) == ["token-1", "token-2"])
        })
    }

    @Test(arguments: ["facebook", "instagram"])
    func leavesOtherTokensAlone(_ kind: String) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            if kind == "instagram" {
                _ = try await line(world, jane, login: "facebook")
            } else {
                _ = try await world.channel(kind, jane)
            }

            try await world.runSchedule("renew-tokens")

            #expect(provider.calls == [])
        })
    }

    @Test(arguments: [
        (#"{"status": 500, "body": "gone"}"#, "0", "active"), (#"{"cut": true}"#, "0", "active"),
        (#"{"status": 400, "body": {"error": {"message": "too young", "code": 2}}}"#, "0", "active"),
        (#"{"status": 200, "body": {}}"#, "0", "active"),
        (#"{"status": 400, "body": {"error": {"message": "expired", "code": 190}}}"#, "1", "error"),
    ])
    func keepsTheTokenWhenItGetsNoOther(_ answer: String, _ days: String, _ status: String) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await line(world, jane)
            try await provider.answer(answer)

            try await world.runSchedule("renew-tokens")

            #expect(try await dueInDays(world) == [days])
            #expect(
                try await world.call("get-channel", as: jane, path: ["channelId": line])["status"]?.string == status
            )
            let events = try await world.events(jane.organisation).filter { $0 == "channel.updated" }
            #expect(events.count == (status == "error" ? 1 : 0))
            // It is tried again, with the same one.
            _ = try await world.owner.query("UPDATE channels SET token_due_at = now() - interval '1 second'")
            try await world.runSchedule("renew-tokens")
            #expect(asked(provider) == ["token-1", "token-1"])
        })
    }
}
