import Foundation
import Functions
import Postgres
import Testing

@Suite struct LogOutTests {
    @Test func endsTheSessionAndItsAccessTokens() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let other = try world.caller(try await world.logIn(jane.email), email: jane.email)

            let reply = try await logOut(other, of: jane, in: world)

            #expect(reply.status == 204)
            #expect(try await world.call("get-me", as: other).status == 401)
            #expect(try await world.refresh(other.refreshToken).status == 401)
            #expect(try await world.call("get-me", as: jane).status == 200)
            #expect(try await world.audited(jane.organisation) == ["auth.signup", "auth.login", "auth.logout"])
        }
    }

    @Test func leavesOtherUsersSessionsAlone() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let stranger = try await world.admin()

            #expect(try await logOut(joe, of: jane, in: world).status == 204)
            #expect(try await logOut(stranger, of: jane, in: world).status == 204)

            #expect(try await world.call("get-me", as: joe).status == 200)
            #expect(try await world.call("get-me", as: stranger).status == 200)
            #expect(try await world.audited(jane.organisation) == ["auth.signup", "auth.login"])
        }
    }

    private func logOut(_ session: Caller, of caller: Caller, in world: World) async throws -> World.Reply {
        try await world.call("log-out", as: caller, body: ["refreshToken": .string(session.refreshToken)])
    }
}
