import Foundation
import Functions
import Postgres
import Testing

@Suite struct RefreshSessionTests {
    @Test func rotatesTheToken() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await world.refresh(jane.refreshToken)

            #expect(reply.status == 200)
            #expect(reply.json.members?.map(\.name) == ["accessToken", "refreshToken", "expiresIn"])
            let next = try world.caller(reply, email: jane.email)
            #expect(next.refreshToken != jane.refreshToken)
            #expect(next.session == jane.session)
            #expect(try await world.refresh(next.refreshToken).status == 200)
        }
    }

    @Test func endsTheSessionOfATokenThatComesAgain() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let next = try world.caller(try await world.refresh(jane.refreshToken), email: jane.email)

            let reuse = try await world.refresh(jane.refreshToken)

            #expect(reuse.status == 401)
            #expect(try await world.refresh(next.refreshToken) == reuse)
            #expect(try await world.call("get-me", as: next).status == 401)
            #expect(try await world.refresh("unknown") == reuse)
            #expect(try await world.audited(jane.organisation) == ["auth.signup", "auth.token_reuse"])
            let other = try await world.logIn(jane.email)
            #expect(try await world.refresh(other.text("refreshToken")).status == 200)
        }
    }

    @Test func letsOneOfTwoUsesAtTheSameInstantThrough() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<6 { group.addTask { try await world.refresh(jane.refreshToken).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }

            #expect(statuses.filter { $0 == 200 }.count == 1)
            #expect(try await world.audited(jane.organisation) == ["auth.signup", "auth.token_reuse"])
        }
    }

    @Test func answersWithTheSameSuccessorWithinTheGrace() async throws {
        try await World.with(["REFRESH_GRACE": "1m"]) { world in
            let jane = try await world.admin()
            let first = try await world.refresh(jane.refreshToken)

            let second = try await world.refresh(jane.refreshToken)

            #expect(second.status == 200)
            #expect(second.text("refreshToken") == first.text("refreshToken"))

            _ = try await world.owner.query("UPDATE refresh_tokens SET used_at = used_at - interval '2 minutes'")
            #expect(try await world.refresh(jane.refreshToken).status == 401)
            #expect(try await world.refresh(first.text("refreshToken")).status == 401)
        }
    }

    @Test func refusesADeactivatedUserAndAnExpiredToken() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            _ = try await world.owner.query("UPDATE users SET status = 'deactivated' WHERE id = \(joe.user)")
            _ = try await world.owner.query(
                "UPDATE refresh_tokens SET expires_at = now() WHERE session_id = \(jane.session)"
            )

            #expect(try await world.refresh(joe.refreshToken).status == 401)
            #expect(try await world.refresh(jane.refreshToken).status == 401)
        }
    }
}
