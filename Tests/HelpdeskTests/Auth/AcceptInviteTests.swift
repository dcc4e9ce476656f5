import Foundation
import Functions
import Postgres
import Testing

@Suite struct AcceptInviteTests {
    @Test func makesAMemberWhoIsLoggedIn() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let invite = try await world.invite("Joe@Example.com", role: "admin", as: jane)

            let reply = try await world.accept(world.token(invite.text("inviteUrl")), name: "Joe 🚇")

            #expect(reply.status == 201)
            #expect(reply.json.members?.map(\.name) == ["user", "accessToken", "refreshToken", "expiresIn"])
            #expect(reply.text("user.email") == "Joe@Example.com")
            #expect(reply.text("user.name") == "Joe 🚇")
            #expect(reply.text("user.role") == "admin")
            #expect(reply.text("user.orgId") == "\(jane.organisation)")
            #expect(reply.text("user.lastLoginAt").hasSuffix("Z"))
            let joe = try world.caller(reply, email: "joe@example.com")
            #expect(try await world.call("list-users", as: joe)["data"]?.array?.count == 2)
            #expect(try await world.logIn("joe@example.com").status == 200)
            let entry = try await world.column(
                """
                SELECT concat_ws(' ', actor_id, actor_name, entity_type, entity_id) FROM audit WHERE action = 'invite.accept'
                """
            )
            #expect(entry == ["\(joe.user.uuidString.lowercased()) Joe 🚇 invite \(invite.text("id"))"])
        }
    }

    @Test func everyBadTokenGetsOneAnswer() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let used = try await world.invite("joe@example.com", as: jane)
            let revoked = try await world.invite("bob@example.com", as: jane)
            _ = try await world.accept(world.token(used.text("inviteUrl")))
            _ = try await world.call("revoke-invite", as: jane, path: ["id": revoked.text("id")])

            let replies = [
                try await world.accept("x"), try await world.accept(world.token(used.text("inviteUrl"))),
                try await world.accept(world.token(revoked.text("inviteUrl"))),
                try await world.accept(jane.refreshToken),
            ]

            #expect(replies.allSatisfy { $0 == replies[0] && $0.status == 401 })
        }
    }

    @Test func ofManyAtOnceOneBecomesTheMember() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let token = world.token(try await world.invite("joe@example.com", as: jane).text("inviteUrl"))

            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<6 { group.addTask { try await world.accept(token, name: "Joe \(number)").status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }

            #expect(statuses.sorted() == [201, 401, 401, 401, 401, 401])
            #expect(try await world.column("SELECT count(*)::text FROM users WHERE email = 'joe@example.com'") == ["1"])
        }
    }

    @Test func anAddressThatWasTakenMeanwhileKeepsTheInvite() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let stranger = try await world.admin()
            let token = world.token(try await world.invite(stranger.email.uppercased(), as: jane).text("inviteUrl"))

            #expect(try await world.accept(token).status == 409)
            _ = try await world.owner.query(
                "UPDATE users SET email = 'elsewhere@example.com' WHERE id = \(stranger.user)"
            )

            #expect(try await world.accept(token).status == 201)
        }
    }

    @Test func stopsWhoTriesTooManyTokens() async throws {
        try await World.with(["TOKEN_LIMIT_ADDRESS": "3"]) { world in
            let jane = try await world.admin()
            let token = world.token(try await world.invite("joe@example.com", as: jane).text("inviteUrl"))
            for _ in 0..<2 { #expect(try await world.accept("wrong").status == 401) }
            #expect(try await world.refresh("wrong").status == 401)

            let refused = try await world.accept(token)
            let elsewhere = try await world.call(
                "accept-invite",
                body: ["token": .string(token), "name": "Joe", "password": .string(World.password)],
                from: world.address + "-elsewhere"
            )

            #expect(refused.status == 429)
            #expect((1...900).contains(refused.retryAfter ?? 0))
            #expect(elsewhere.status == 201)
        }
    }
}
