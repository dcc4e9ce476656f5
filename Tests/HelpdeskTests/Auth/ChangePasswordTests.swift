import Foundation
import Functions
import Postgres
import Testing

@Suite struct ChangePasswordTests {
    private static let new = "staple battery horse correct"

    private func change(from current: String = World.password, to new: String = new, as caller: Caller, in world: World)
        async throws -> World.Reply
    {
        try await world.call(
            "change-password",
            as: caller,
            body: ["currentPassword": .string(current), "newPassword": .string(new)]
        )
    }

    @Test func setsThePasswordAndEndsTheOtherSessions() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let other = try world.caller(try await world.logIn(jane.email), email: jane.email)
            _ = try await world.call("forgot-password", body: ["email": .string(jane.email)])

            #expect(try await change(as: jane, in: world).status == 204)

            #expect(try await world.call("get-me", as: jane).status == 200)
            #expect(try await world.refresh(jane.refreshToken).status == 200)
            #expect(try await world.call("get-me", as: other).status == 401)
            #expect(try await world.refresh(other.refreshToken).status == 401)
            #expect(try await world.logIn(jane.email).status == 401)
            #expect(try await world.logIn(jane.email, Self.new).status == 200)
            #expect(try await world.column("SELECT count(*)::text FROM password_resets") == ["0"])
            let changes = try await world.changes("auth.password_change", of: jane.organisation)
            #expect(changes == ["password": ["to": "••••", "from": "••••"]])
        }
    }

    @Test func wantsThePresentPasswordAndCountsGuesses() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            for _ in 0..<10 {
                #expect(
                    try await change(from: "wrong", as: jane, in: world).faults
                        == ["/currentPassword is not the present password"]
                )
            }

            #expect(try await change(as: jane, in: world).status == 429)
            #expect(try await world.logIn(jane.email).status == 429)
        }
    }

    @Test func ofTwoAtOnceOneIsRight() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let other = try world.caller(try await world.logIn(jane.email), email: jane.email)

            async let one = change(to: "password one", as: jane, in: world)
            async let two = change(to: "password two", as: other, in: world)
            let statuses = try await [one.status, two.status]

            #expect(statuses.filter { $0 == 204 }.count == 1, "\(statuses)")
            #expect(statuses.allSatisfy { [204, 401, 422].contains($0) }, "\(statuses)")
            let works = [
                try await world.logIn(jane.email, "password one").status,
                try await world.logIn(jane.email, "password two").status,
            ]
            #expect(works == statuses.map { $0 == 204 ? 200 : 401 })
        }
    }
}
