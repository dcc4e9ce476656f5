import Foundation
import Functions
import Postgres
import TestSupport
import Testing

@Suite struct ForgotPasswordTests {
    private func forget(_ email: String, in world: World) async throws -> World.Reply {
        try await world.call("forgot-password", body: ["email": .string(email)])
    }

    @Test func mailsALinkToWhoIsAMember() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await forget(jane.email.uppercased(), in: world)

            #expect(reply.status == 202)
            let link = try #require(try await world.mailedLink(to: jane.email))
            #expect(link.hasPrefix("https://help.example/reset-password?token="))
            #expect(try await world.queued("mail").count == 1)
            let seconds: SQL = "extract(epoch FROM expires_at - created_at)::integer::text"
            #expect(try await world.column("SELECT \(raw: seconds) FROM password_resets") == ["3600"])
        }
    }

    @Test func tellsNobodyWhoIsAMember() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            _ = try await world.deactivate(joe.user, as: jane)

            var replies: [World.Reply] = []
            var times: [Duration] = []
            for email in [jane.email, joe.email, "nobody@\(world.database.name).example"] {
                let before = ContinuousClock.now
                replies.append(try await forget(email, in: world))
                times.append(before.duration(to: .now))
            }

            #expect(replies.allSatisfy { $0 == replies[0] && $0.status == 202 })
            // None is quicker than a member's mail takes to write; how much slower it may be, other work decides.
            #expect(times.allSatisfy { $0 >= .milliseconds(300) })
            #expect(try await world.column("SELECT recipient FROM mails") == [jane.email])
        }
    }

    @Test func isLimitedForOneAddressWhetherOrNotItIsAMembers() async throws {
        try await World.with(["RESET_LIMIT_EMAIL": "2"]) { world in
            let jane = try await world.admin()
            for email in [jane.email, "nobody@\(world.database.name).example"] {
                for _ in 0..<2 { #expect(try await forget(email, in: world).status == 202) }

                let refused = try await forget(email, in: world)

                #expect(refused.status == 429)
                #expect((1...900).contains(refused.retryAfter ?? 0))
            }
        }
    }
}
