import Foundation
import Functions
import Postgres
import Testing

@Suite struct CreateInviteTests {
    @Test func answersAndMailsTheLink() async throws {
        try await World.with { world in
            let jane = try await world.admin("Ünder\nGround")

            let reply = try await world.invite("Joe@Example.com", role: "admin", as: jane)

            #expect(reply.status == 201)
            #expect(
                reply.json.members?.map(\.name) == [
                    "id", "email", "role", "status", "expiresAt", "createdAt", "inviteUrl",
                ]
            )
            #expect(reply.text("email") == "Joe@Example.com")
            #expect(reply.text("status") == "pending")
            #expect(reply.text("inviteUrl").hasPrefix("https://help.example/accept-invite?token="))
            #expect(try await world.mailedLink(to: "Joe@Example.com") == reply.text("inviteUrl"))
            #expect(try await world.queued("mail").count == 1)
            let days = try await world.column("SELECT extract(day FROM expires_at - created_at)::text FROM invites")
            #expect(days == ["7"])
        }
    }

    @Test func nothingButTheLinkHoldsTheToken() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let token = world.token(try await world.invite("joe@example.com", as: jane).text("inviteUrl"))

            #expect(token.count == 43)
            for table in ["invites", "invite_directory", "mails", "audit", "events"] {
                let rows = try await world.column("SELECT t::text FROM \(raw: SQL.identifier(table)) AS t")
                #expect(rows.allSatisfy { $0?.contains(token) == false }, "\(table)")
            }
            let changes = try await world.changes("invite.create", of: jane.organisation)
            #expect(changes?["email"]?["to"] == "joe@example.com")
        }
    }

    @Test func aSecondInviteToOneAddressRevokesTheFirst() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let first = try await world.invite("joe@example.com", as: jane)

            let second = try await world.invite("JOE@example.com", as: jane)

            #expect(try await world.accept(world.token(first.text("inviteUrl"))).status == 401)
            let listed = try await world.call("list-invites", as: jane)
            #expect(listed["data"]?.array?.map { $0["id"] } == [second["id"]])
            #expect(listed["data.0.inviteUrl"] == nil)
            #expect(try await world.accept(world.token(second.text("inviteUrl"))).status == 201)
        }
    }

    @Test func manyAtOnceLeaveOne() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 { group.addTask { try await world.invite("joe@example.com", as: jane).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }

            #expect(statuses == Array(repeating: 201, count: 8))
            #expect(try await world.column("SELECT count(*)::text FROM invites WHERE status = 'pending'") == ["1"])
            #expect(try await world.column("SELECT count(*)::text FROM invite_directory") == ["1"])
        }
    }

    @Test func aMemberIsNotInvitedAndAnotherOrganisationsUserIs() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let stranger = try await world.admin()
            _ = try await world.deactivate(joe.user, as: jane)

            #expect(try await world.invite(jane.email.uppercased(), as: jane).status == 409)
            #expect(try await world.invite(joe.email, as: jane).status == 409)
            let invited = try await world.invite(stranger.email, as: jane)

            #expect(invited.status == 201)
            #expect(try await world.accept(world.token(invited.text("inviteUrl"))).status == 409)
            // The address may become free.
            let listed = try await world.call("list-invites", as: jane)
            #expect(listed["data"]?.array?.count == 1)
        }
    }

    @Test func aRefusedInviteLeavesThePendingOneAsItIs() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let first = try await world.invite("joe@example.com", as: jane)
            _ = try await world.owner.query(
                """
                INSERT INTO users (org_id, email, name, role, password_hash)
                VALUES (\(jane.organisation), 'joe@example.com', 'Joe', 'agent', 'x')
                """
            )

            #expect(try await world.invite("joe@example.com", as: jane).status == 409)

            let listed = try await world.call("list-invites", as: jane)
            #expect(listed["data"]?.array?.map { $0["id"] } == [first["id"]])
        }
    }
}
