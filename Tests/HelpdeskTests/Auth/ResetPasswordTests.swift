import Foundation
import Functions
import Postgres
import Security
import Testing

@Suite struct ResetPasswordTests {
    private static let new = "staple battery horse correct"

    /// A token as it was mailed.
    private func token(for caller: Caller, in world: World) async throws -> String {
        _ = try await world.call("forgot-password", body: ["email": .string(caller.email)])
        return world.token(try await world.mailedLink(to: caller.email) ?? "")
    }

    private func reset(_ token: String, _ password: String = new, in world: World) async throws -> World.Reply {
        try await world.call("reset-password", body: ["token": .string(token), "password": .string(password)])
    }

    @Test func setsThePasswordOnceAndEndsEverySession() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let token = try await token(for: jane, in: world)

            let statuses = [try await reset(token, in: world).status, try await reset(token, in: world).status]

            #expect(statuses == [204, 401])
            #expect(try await world.call("get-me", as: jane).status == 401)
            #expect(try await world.refresh(jane.refreshToken).status == 401)
            #expect(try await world.logIn(jane.email).status == 401)
            #expect(try await world.logIn(jane.email, Self.new).status == 200)
            #expect(try await world.audited(jane.organisation).contains("auth.password_reset"))
            let changes = try await world.changes("auth.password_reset", of: jane.organisation)
            #expect(changes == ["password": ["to": "••••", "from": "••••"]])
        }
    }

    @Test func everyBadTokenGetsOneAnswer() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let stranger = try await world.admin()
            let expired = try await token(for: jane, in: world)
            _ = try await world.owner.query("UPDATE password_resets SET expires_at = now()")
            let deactivated = try await token(for: joe, in: world)
            _ = try await world.deactivate(joe.user, as: jane)
            _ = try await world.reactivate(joe.user, as: jane)
            let theirs = try await token(for: stranger, in: world)
            let secret = Base64.url.decode(theirs)?.dropFirst(16) ?? []
            let moved = withUnsafeBytes(of: jane.organisation.uuid.uuid) { Array($0) } + secret

            var replies: [World.Reply] = []
            for token in ["x", expired, deactivated, jane.refreshToken, Base64.url.encode(moved), theirs + "A"] {
                replies.append(try await reset(token, in: world))
            }

            #expect(replies.allSatisfy { $0 == replies[0] && $0.status == 401 }, "\(replies.map(\.status))")
            #expect(try await reset(theirs, in: world).status == 204)
            #expect(try await world.logIn(jane.email).status == 200)
        }
    }

    @Test func anEarlierLinkStaysGoodUntilOneIsUsed() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let first = try await token(for: jane, in: world)
            let second = try await token(for: jane, in: world)

            #expect(try await reset(first, in: world).status == 204)
            #expect(try await reset(second, in: world).status == 401)
            #expect(try await world.column("SELECT count(*)::text FROM password_resets") == ["0"])
        }
    }

    @Test func ofManyAtOnceOneSetsThePassword() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let token = try await token(for: jane, in: world)

            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<6 { group.addTask { try await reset(token, "password \(number)", in: world).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }

            #expect(statuses.sorted() == [204, 401, 401, 401, 401, 401])
        }
    }
}
