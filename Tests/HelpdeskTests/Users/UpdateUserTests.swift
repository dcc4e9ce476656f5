import Foundation
import Functions
import Postgres
import Testing

@testable import Helpdesk

@Suite struct UpdateUserTests {
    @Test func changesNameAndRoleWithOneEntry() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)

            let reply = try await world.update(joe.user, ["name": "Joe Q.", "role": "admin"], as: jane)

            #expect(reply.status == 200)
            #expect(reply.text("name") == "Joe Q.")
            #expect(reply.text("role") == "admin")
            let expected: JSON = [
                "name": ["from": "Joe Bloggs", "to": "Joe Q."], "role": ["from": "agent", "to": "admin"],
            ]
            #expect(try await world.changes("user.update", of: jane.organisation)?.isSame(as: expected) == true)
        }
    }

    @Test func anotherRoleEndsTokensThatSayTheOldOneButNotTheSession() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)

            _ = try await world.update(joe.user, ["role": "admin"], as: jane)

            #expect(try await world.call("get-me", as: joe).status == 401)
            let refreshed = try world.caller(try await world.refresh(joe.refreshToken), email: joe.email)
            #expect(refreshed.role == .admin)
            #expect(try await world.call("get-me", as: refreshed).status == 200)
        }
    }

    @Test func whatChangesNothingWritesNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let bodies: [JSON] = [[:], ["name": "Jane Doe"], ["role": "admin"]]
            for body in bodies { #expect(try await world.update(jane.user, body, as: jane).status == 200) }

            #expect(try await world.audited(jane.organisation) == ["auth.signup"])
        }
    }

    @Test func theLastActiveAdminStaysOne() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let bob = try await world.admin(of: jane)
            _ = try await world.deactivate(bob.user, as: jane)

            let refused = try await world.update(jane.user, ["role": "agent"], as: jane)
            let deactivated = try await world.update(bob.user, ["role": "agent"], as: jane)

            #expect(refused.status == 409)
            #expect(deactivated.status == 200)
            #expect(try await world.call("get-me", as: jane).text("user.role") == "admin")
        }
    }

    @Test func twoAdminsWhoDemoteEachOtherAtOnceLeaveOne() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            for _ in 0..<10 {
                let bob = try await world.admin(of: jane)
                let me = try world.caller(try await world.logIn(jane.email), email: jane.email)

                async let one = world.update(bob.user, ["role": "agent"], as: me)
                async let other = world.update(me.user, ["role": "agent"], as: bob)
                let statuses = try await [one.status, other.status].sorted()

                let admins = try await world.column(
                    "SELECT id::text FROM users WHERE org_id = \(jane.organisation) AND role = 'admin' AND status = 'active'"
                )
                #expect(admins.count == 1, "\(statuses)")
                // Who came second was the last one by then, or an admin no longer when asking.
                #expect(statuses == [200, 409] || statuses == [200, 401], "\(statuses)")
                _ = try await world.owner.run([
                    "UPDATE users SET role = 'admin' WHERE id = \(jane.user)",
                    "UPDATE users SET role = 'agent' WHERE id = \(bob.user)",
                ])
            }
        }
    }

    @Test func knowsNobodyOfAnotherOrganisation() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let stranger = try await world.admin()

            for user in [stranger.user, UUID()] {
                #expect(try await world.update(user, ["name": "x"], as: jane).detail == "There is no such user.")
            }
        }
    }
}
