import Foundation
import Functions
import Postgres
import Testing

@testable import Helpdesk

@Suite struct DeactivateUserTests {
    @Test func shutsTheMemberOutAtOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let again = try world.caller(try await world.logIn(joe.email), email: joe.email)

            let reply = try await world.deactivate(joe.user, as: jane)

            #expect(reply.status == 200)
            #expect(reply.text("status") == "deactivated")
            for session in [joe, again] {
                #expect(try await world.call("get-me", as: session).status == 401)
                #expect(try await world.refresh(session.refreshToken).status == 401)
            }
            #expect(try await world.logIn(joe.email).status == 401)
            #expect(
                try await world.column("SELECT DISTINCT revoked_reason FROM sessions WHERE user_id = \(joe.user)")
                    == ["deactivated"]
            )
        }
    }

    @Test func freesTheirTicketsThatAreNotClosed() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let web = try await world.mock(jane)
            var tickets: [String] = []
            for status in ["open", "pending", "closed"] {
                let id = try await world.ticket(jane, on: web, [.init("assigneeId", .string(joe.user.uuidString))])
                _ = try await world.call(
                    "update-ticket",
                    as: jane,
                    path: ["ticketId": id],
                    body: ["status": .string(status)]
                )
                tickets.append(id)
            }
            let before = try await world.events(jane.organisation).count

            _ = try await world.deactivate(joe.user, as: jane)

            var assignees: [String?] = []
            for id in tickets { assignees.append(try await world.show(id, as: jane)["assignee.id"]?.string) }
            #expect(assignees == [nil, nil, joe.user.uuidString.lowercased()])
            #expect(
                try await world.events(jane.organisation).dropFirst(before) == ["ticket.updated", "ticket.updated"]
            )
            let changes = try await world.changes("user.deactivate", of: jane.organisation)
            #expect(changes?["assignedTickets"]?.isSame(as: ["from": 2, "to": 0]) == true)
        }
    }

    @Test func happensOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)

            let replies = [
                try await world.deactivate(joe.user, as: jane), try await world.deactivate(joe.user, as: jane),
            ]

            #expect(replies.map(\.status) == [200, 200])
            #expect(replies[0].json == replies[1].json)
            #expect(try await world.audited(jane.organisation).filter { $0 == "user.deactivate" }.count == 1)
        }
    }

    @Test func nobodyShutsThemselvesOut() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            _ = try await world.admin(of: jane)

            #expect(try await world.deactivate(jane.user, as: jane).status == 409)

            #expect(try await world.call("get-me", as: jane).status == 200)
        }
    }

    @Test func adminsWhoDeactivateEachOtherAtOnceLeaveOne() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            for _ in 0..<10 {
                let me = try world.caller(try await world.logIn(jane.email), email: jane.email)
                let bob = try await world.admin(of: jane)

                async let one = world.deactivate(bob.user, as: me)
                async let other = world.deactivate(me.user, as: bob)
                let statuses = try await [one.status, other.status].sorted()

                let admins = try await world.column(
                    "SELECT id::text FROM users WHERE org_id = \(jane.organisation) AND role = 'admin' AND status = 'active'"
                )
                #expect(admins.count == 1)
                #expect(statuses == [200, 409] || statuses == [200, 401], "\(statuses)")
                _ = try await world.owner.run([
                    "UPDATE users SET status = 'active' WHERE id = \(jane.user)",
                    "UPDATE users SET role = 'agent' WHERE id = \(bob.user)",
                ])
            }
        }
    }

    @Test func aTicketThatIsAssignedMeanwhileStaysWithNobodyDeactivated() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.ticket(jane, on: web)
            for _ in 0..<10 {
                let joe = try await world.agent(of: jane)

                async let assigned = world.call(
                    "assign-ticket",
                    as: jane,
                    path: ["ticketId": id],
                    body: ["userId": .string(joe.user.uuidString)]
                )
                async let deactivated = world.deactivate(joe.user, as: jane)

                #expect(try await [200, 422].contains(assigned.status))
                #expect(try await deactivated.status == 200)
                #expect(try await world.show(id, as: jane)["assignee"] == .null)
            }
        }
    }

    @Test func reactivationLetsThemLogInAgain() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            _ = try await world.deactivate(joe.user, as: jane)

            let replies = [
                try await world.reactivate(joe.user, as: jane), try await world.reactivate(joe.user, as: jane),
            ]

            #expect(replies.map(\.status) == [200, 200])
            #expect(replies[0].text("status") == "active")
            #expect(try await world.call("get-me", as: joe).status == 401)
            #expect(try await world.refresh(joe.refreshToken).status == 401)
            #expect(try await world.logIn(joe.email).status == 200)
            #expect(try await world.audited(jane.organisation).filter { $0 == "user.reactivate" }.count == 1)
        }
    }

    @Test func knowsNobodyOfAnotherOrganisation() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let stranger = try await world.admin()

            for user in [stranger.user, UUID()] {
                #expect(try await world.deactivate(user, as: jane).detail == "There is no such user.")
                #expect(try await world.reactivate(user, as: jane).detail == "There is no such user.")
            }
            #expect(try await world.call("get-me", as: stranger).status == 200)
        }
    }
}
