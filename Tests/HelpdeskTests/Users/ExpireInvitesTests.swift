import Functions
import Postgres
import Testing

@Suite struct ExpireInvitesTests {
    @Test func nobodyAcceptsAnInviteWhoseTimeHasPassed() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let old = try await world.invite("old@example.com", as: jane)
            let new = try await world.invite("new@example.com", as: jane)
            _ = try await world.owner.query("UPDATE invites SET expires_at = now() WHERE email = 'old@example.com'")

            let listed = try await world.call("list-invites", as: jane)
            let accepted = try await world.accept(world.token(old.text("inviteUrl")))
            let revoked = try await world.call("revoke-invite", as: jane, path: ["id": old.text("id")])
            try await world.runSchedule("expire-invites")

            #expect(listed["data"]?.array?.map { $0["id"] } == [new["id"]])
            #expect(accepted.status == 401)
            #expect(revoked.status == 404)
            #expect(try await world.column("SELECT status FROM invites ORDER BY created_at") == ["expired", "pending"])
            #expect(try await world.column("SELECT count(*)::text FROM invite_directory") == ["1"])
        }
    }
}
