import Foundation
import Functions
import Postgres
import Testing

@Suite struct RevokeInviteTests {
    private func revoke(_ id: String, as caller: Caller, in world: World) async throws -> World.Reply {
        try await world.call("revoke-invite", as: caller, path: ["id": id])
    }

    @Test func takesTheInviteBack() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let invite = try await world.invite("joe@example.com", as: jane)

            let statuses = [
                try await revoke(invite.text("id"), as: jane, in: world).status,
                try await revoke(invite.text("id"), as: jane, in: world).status,
            ]

            #expect(statuses == [204, 404])
            #expect(try await world.accept(world.token(invite.text("inviteUrl"))).status == 401)
            #expect(try await world.call("list-invites", as: jane)["data"]?.array == [])
            #expect(try await world.column("SELECT count(*)::text FROM invite_directory") == ["0"])
            #expect(
                try await world.audited(jane.organisation) == ["auth.signup", "invite.create", "invite.revoke"]
            )
        }
    }

    @Test func knowsNoInviteOfAnotherOrganisation() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let stranger = try await world.admin()
            let theirs = try await world.invite("joe@example.com", as: stranger)

            let refused = try await revoke(theirs.text("id"), as: jane, in: world)
            let unknown = try await revoke(UUID().uuidString, as: jane, in: world)

            #expect(refused.status == 404)
            #expect(refused == unknown)
            #expect(try await world.accept(world.token(theirs.text("inviteUrl"))).status == 201)
        }
    }
}
