import Foundation
import Functions
import Postgres
import TestSupport
import Testing

@Suite struct LogInTests {
    @Test func beginsASessionOfItsOwn() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await world.logIn(jane.email.uppercased())

            #expect(reply.status == 200)
            #expect(reply.text("user.id") == jane.user.uuidString.lowercased())
            #expect(reply.text("user.lastLoginAt").hasSuffix("Z"))
            let again = try world.caller(reply, email: jane.email)
            #expect(again.session != jane.session)
            #expect(try await world.call("get-me", as: again).status == 200)
            #expect(try await world.audited(jane.organisation) == ["auth.signup", "auth.login"])
        }
    }

    @Test func answersEveryWrongPairAlike() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            _ = try await world.owner.query("UPDATE users SET status = 'deactivated' WHERE id = \(joe.user)")

            let replies = [
                try await world.logIn(jane.email, "wrong"),
                try await world.logIn("nobody@example.com"),
                try await world.logIn(joe.email),
            ]

            #expect(replies.map(\.status) == [401, 401, 401])
            #expect(replies[0] == replies[1])
            #expect(replies[0] == replies[2])
            let failures = try await world.column(
                "SELECT entity_id::text FROM audit WHERE action = 'auth.login_failed' ORDER BY created_at"
            )
            #expect(failures == [jane.user.uuidString.lowercased(), joe.user.uuidString.lowercased()])
        }
    }

    @Test func stopsAfterTenFailuresEvenWithTheRightPassword() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            for _ in 0..<10 { #expect(try await world.logIn(jane.email, "wrong").status == 401) }

            let refused = try await world.logIn(jane.email)
            let elsewhere = try await world.logIn(jane.email, from: "192.0.2.\(Int.random(in: 1...254))")

            #expect(refused.status == 429)
            #expect((1...900).contains(refused.retryAfter ?? 0))
            #expect(elsewhere.status == 200)
        }
    }

    @Test func forgetsFailuresAfterASuccess() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            for _ in 0..<9 { _ = try await world.logIn(jane.email, "wrong") }
            #expect(try await world.logIn(jane.email).status == 200)

            for _ in 0..<9 { #expect(try await world.logIn(jane.email, "wrong").status == 401) }
            #expect(try await world.logIn(jane.email).status == 200)
        }
    }

    @Test func limitsAnAddressAndAnEMailFromAnywhere() async throws {
        try await World.with(["LOGIN_LIMIT_ADDRESS": "5", "LOGIN_LIMIT_EMAIL": "7"]) { world in
            let jane = try await world.admin()
            for number in 0..<5 { _ = try await world.logIn("nobody\(number)@\(world.database.name).example", "wrong") }
            #expect(try await world.logIn(jane.email).status == 429)

            for number in 0..<7 { _ = try await world.logIn(jane.email, "wrong", from: "\(world.address)-\(number)") }
            #expect(try await world.logIn(jane.email, from: "\(world.address)-x").status == 429)
        }
    }

    @Test func letsNoMoreGuessesThroughWhenTheyComeAtOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<30 { group.addTask { try await world.logIn(jane.email, "wrong").status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }

            #expect(statuses.filter { $0 == 401 }.count == 10)
            #expect(statuses.filter { $0 == 429 }.count == 20)
        }
    }
}
