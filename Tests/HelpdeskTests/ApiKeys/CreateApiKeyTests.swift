import Foundation
import Functions
import Postgres
import Security
import Testing

@Suite struct CreateApiKeyTests {
    @Test func showsTheKeyOnceAndStoresItsDigest() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await world.key(jane, role: "agent")

            let key = reply.text("key")
            #expect(reply.status == 201)
            #expect(key.hasPrefix("dck_"))
            #expect(reply["expiresAt"] == .null && reply["lastUsedAt"] == .null)
            #expect(key.hasPrefix(reply.text("prefix")) && reply.text("prefix").count == 12)
            #expect(
                try await world.column("SELECT encode(hash, 'hex') FROM api_keys") == [Hex.encode(SHA256.digest(key))]
            )
            let dump = try await world.column(
                "SELECT (SELECT json_agg(k)::text FROM api_keys k) || json_agg(a)::text FROM audit a"
            )
            #expect(dump.first??.contains(key) == false)
            #expect(try await world.audited(jane.organisation).last == "api_key.create")
        }
    }

    @Test func refusesAnExpiryThatHasPassed() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await world.call(
                "create-api-key",
                as: jane,
                body: ["name": "a", "role": "admin", "expiresAt": "2020-01-01T00:00:00Z"]
            )

            #expect(reply.faults == ["/expiresAt must be in the future"])
        }
    }

    @Test func aKeyActsInItsOwnNameAndRole() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let made = try await world.key(jane, role: "admin", name: "Robot")
            let key = made.text("key")
            let web = try await world.mock(jane)
            let body: JSON = ["channelId": .string(web), "contact": ["handle": "kim"], "message": ["text": "Hello"]]

            let ticket = try await world.call("create-ticket", with: key, body: body)
            let macro = try await world.macro(jane, "I am {{agent.name}}")
            let answer = try await world.call(
                "send-message",
                with: key,
                path: ["ticketId": ticket.text("id")],
                body: ["macroId": .string(macro)]
            )
            let mine = try await world.call("list-tickets", with: key, query: [("assigneeId", "me")])
            let me = try await world.call("get-me", with: key)
            let logOut = try await world.call("log-out", with: key, body: ["refreshToken": "x"])

            #expect(ticket.status == 201)
            #expect(answer["text"] == "I am Robot")
            #expect(answer["author"] == ["type": "api_key", "id": .string(made.text("id")), "name": "Robot"])
            #expect([mine, me, logOut].map(\.status) == [422, 403, 403])
            #expect(mine.faults.first?.hasPrefix("assigneeId ") == true)
            #expect(
                try await world.column(
                    "SELECT actor_type || ' ' || actor_name || ' ' || action FROM audit WHERE actor_type <> 'user'"
                )
                    == ["api_key Robot ticket.create", "api_key Robot message.send"]
            )
            #expect(
                try await world.column("SELECT DISTINCT actor_id::text FROM audit WHERE actor_type = 'api_key'")
                    == [made.text("id")]
            )
        }
    }

    @Test func aChangedOrMadeUpKeyIsNobodys() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let eve = try await world.admin("Other")
            let key = try #require(APIKeyToken(try await world.key(jane, role: "agent").text("key")))
            let forged = [
                APIKeyToken(organisation: jane.organisation, role: .admin).text,
                // The same secret and id, in another organisation or role.
                key.forged {
                    $0.replaceSubrange(48..<64, with: withUnsafeBytes(of: eve.organisation.uuid.uuid) { Array($0) })
                },
                key.forged { $0[64] = 1 },
                key.forged { $0[0] ^= 1 },
            ]

            var statuses: [Int] = []
            for text in forged { statuses.append(try await world.call("list-macros", with: text).status) }

            #expect(try await world.call("list-macros", with: key.text).status == 200)
            #expect(statuses == [401, 401, 401, 401])
        }
    }

    @Test func lastUsedAtIsWrittenOnceAMinute() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let key = try await world.key(jane, role: "agent").text("key")
            func use() async throws -> String? {
                _ = try await world.call("list-macros", with: key)
                return try await world.column("SELECT last_used_at::text FROM api_keys")[0]
            }

            let first = try await use()
            let again = try await use()
            _ = try await world.owner.query("UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'")
            let later = try await use()

            #expect(first != nil)
            #expect(again == first)
            #expect(try #require(later) > first ?? "")
        }
    }
}

extension APIKeyToken {
    /// The key's text with some of its bytes changed.
    fileprivate func forged(_ change: (inout [UInt8]) -> Void) -> String {
        var bytes = Base64.url.decode(text.dropFirst(4)) ?? []
        change(&bytes)
        return "dck_" + Base64.url.encode(bytes)
    }
}

extension World {
    func key(_ caller: Caller, role: String, name: String = "Warehouse") async throws -> Reply {
        try await call("create-api-key", as: caller, body: ["name": .string(name), "role": .string(role)])
    }
}
