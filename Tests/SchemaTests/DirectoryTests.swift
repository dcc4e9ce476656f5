import Foundation
import Postgres
import Security
import Testing

@testable import Schema

/// What may be asked before an organisation is known, and across organisations.
@Suite struct DirectoryTests {
    private func ask(_ statement: SQL) async throws -> PostgresRows {
        try await TestDatabase.shared.application.query(statement)
    }

    @Test func findsALogInByItsAddressInAnyCase() async throws {
        let world = try await World()

        let rows = try await ask(
            "SELECT org_id, user_id, email, password_hash FROM find_login(\(world.email.uppercased()))"
        )
        let unknown = try await ask("SELECT FROM find_login('nobody@example.com')")

        let row = try #require(rows.first)
        #expect(rows.count == 1 && unknown.isEmpty)
        #expect(try row.get("org_id", as: UUID.self) == world.org)
        #expect(try row.get("user_id", as: UUID.self) == world.user)
        #expect(try row.get("email", as: String.self) == world.email)
        #expect(try row.get("password_hash", as: String.self) == "hash")
    }

    @Test func refusesAnAddressThatAnyOrganisationHas() async throws {
        let one = try await World()
        let other = try await World()

        let error = await #expect(throws: PostgresError.self) {
            try await other.query(
                """
                INSERT INTO users (org_id, email, name, role, password_hash)
                VALUES (\(other.org), \(one.email.lowercased()), 'Eve', 'agent', 'hash')
                """
            )
        }

        #expect(error?.sqlState == "23505")
        #expect(error?.constraint == "email_directory_pkey")
        #expect(try await other.count("users") == 1)
    }

    @Test func followsAnAddressThatChanges() async throws {
        let world = try await World()
        let changed = "new.\(world.email)"

        try await world.query("UPDATE users SET email = \(changed) WHERE id = \(world.user)")

        #expect(try await ask("SELECT FROM find_login(\(world.email))").isEmpty)
        #expect(try await ask("SELECT FROM find_login(\(changed))").count == 1)
    }

    @Test func findsTheOrganisationOfARefreshToken() async throws {
        let world = try await World()
        let hash = SHA256.digest(UUID().uuidString)
        try await world.query(
            """
            INSERT INTO refresh_tokens (org_id, hash, session_id, expires_at)
            VALUES (\(world.org), \(hash), \(world.session), now() + interval '30 days')
            """
        )

        let found = try await ask("SELECT find_refresh_token(\(hash)) AS org_id")
        let unknown = try await ask("SELECT find_refresh_token(\(SHA256.digest("x"))) AS org_id")
        try await world.query("DELETE FROM sessions WHERE id = \(world.session)")
        let gone = try await ask("SELECT find_refresh_token(\(hash)) AS org_id")

        #expect(try found.first?.get("org_id", as: UUID.self) == world.org)
        #expect(try unknown.first?.optional("org_id", as: UUID.self) == nil)
        #expect(try gone.first?.optional("org_id", as: UUID.self) == nil)
    }

    @Test func findsAChannelUntilItIsDeleted() async throws {
        let world = try await World()
        try await world.query(
            "UPDATE channels SET credentials = '\\x01ff', status = 'disabled' WHERE id = \(world.channel)"
        )

        let rows = try await ask("SELECT org_id, type, status, credentials FROM find_channel(\(world.channel))")
        try await world.query("UPDATE channels SET deleted_at = now() WHERE id = \(world.channel)")
        let gone = try await ask("SELECT FROM find_channel(\(world.channel))")

        let row = try #require(rows.first)
        #expect(try row.get("org_id", as: UUID.self) == world.org)
        #expect(try row.get("type", as: String.self) == "mock")
        #expect(try row.get("status", as: String.self) == "disabled")
        #expect(try row.get("credentials", as: [UInt8].self) == [1, 255])
        #expect(gone.isEmpty)
    }

    @Test func findsAnInviteWhileItIsPending() async throws {
        let world = try await World()
        let (one, other) = (SHA256.digest(UUID().uuidString), SHA256.digest(UUID().uuidString))
        try await invite("a@example.com", one, world)
        try await invite("b@example.com", other, world)

        let pending = try await ask("SELECT email FROM find_invite(\(one))")
        try await world.query("UPDATE invites SET status = 'revoked' WHERE token_hash = \(one)")
        try await world.query("UPDATE invites SET expires_at = now() WHERE token_hash = \(other)")

        #expect(try pending.first?.get("email", as: String.self) == "a@example.com")
        #expect(try await ask("SELECT FROM find_invite(\(one))").isEmpty)
        #expect(try await ask("SELECT FROM find_invite(\(other))").isEmpty)
        let expired = try await ask("SELECT FROM find_expired_invites() WHERE org_id = \(world.org)")
        #expect(expired.count == 1)
    }

    @Test func allowsOnePendingInviteToAnAddress() async throws {
        let world = try await World()
        try await invite("A@example.com", SHA256.digest(UUID().uuidString), world)

        let state = try await sqlState { try await invite("a@Example.com", SHA256.digest(UUID().uuidString), world) }

        #expect(state == "23505")
    }

    private func invite(_ email: String, _ hash: [UInt8], _ world: World) async throws {
        try await world.query(
            """
            INSERT INTO invites (org_id, email, role, token_hash, invited_by, expires_at)
            VALUES (\(world.org), \(email), 'agent', \(hash), \(world.user), now() + interval '7 days')
            """
        )
    }

    @Test func findsTicketsWhoseMessagesWaitToBeSent() async throws {
        let world = try await World()
        func waiting(_ seconds: Int) async throws -> Int {
            try await ask(
                """
                SELECT FROM find_waiting_tickets(make_interval(secs => \(seconds)))
                 WHERE org_id = \(world.org) AND ticket_id = \(world.ticket)
                """
            ).count
        }
        try await world.query(
            """
            INSERT INTO messages (org_id, channel_id, contact_id, ticket_id, direction, author_type, status, text, created_at)
            VALUES (\(world.org), \(world.channel), \(world.contact), \(world.ticket), 'outbound', 'user', 'queued', 'Hi',
                    now() - interval '60 seconds')
            """
        )

        let found = try await [waiting(30), waiting(300)]
        try await world.query(
            """
            INSERT INTO delivery_leases (org_id, ticket_id, token, expires_at)
            VALUES (\(world.org), \(world.ticket), \(UUID()), now() + interval '1 minute')
            """
        )
        let leased = try await waiting(30)
        try await world.query("UPDATE delivery_leases SET expires_at = now() - interval '1 second'")
        let released = try await waiting(30)
        try await world.query("UPDATE messages SET next_attempt_at = now() + interval '1 minute'")
        let postponed = try await waiting(30)
        try await world.query("UPDATE messages SET next_attempt_at = NULL")
        try await world.query("UPDATE channels SET status = 'disabled'")
        let disabled = try await waiting(30)

        #expect(found == [1, 0])
        #expect((leased, released, postponed, disabled) == (0, 1, 0, 0))
    }

    @Test func findsOrganisationsThatHoldRowsPastTheirTime() async throws {
        let world = try await World()
        func isFound() async throws -> Bool {
            try await !ask(
                """
                SELECT FROM find_organisations_to_purge(now() - interval '7 days') WHERE org_id = \(world.org)
                """
            ).isEmpty
        }

        let fresh = try await isFound()
        try await world.query(
            """
            INSERT INTO idempotency_keys (org_id, principal, key_hash, request_hash, claim, expires_at)
            VALUES (\(world.org), \(world.user), \(SHA256.digest("a")), \(SHA256.digest("b")), \(UUID()), now())
            """
        )
        let stale = try await isFound()

        #expect([fresh, stale] == [false, true])
    }

    @Test func listsOrganisationsByPages() async throws {
        let (one, other) = try await (World(), World())

        let all = try await ask("SELECT org_id FROM list_organisations(max => 100000)").map {
            try $0.get("org_id", as: UUID.self)
        }
        let after = try await ask("SELECT org_id FROM list_organisations(\(one.org), 100000)").map {
            try $0.get("org_id", as: UUID.self)
        }

        #expect(all.contains(one.org) && all.contains(other.org))
        #expect(!after.contains(one.org) && after.contains(other.org))
    }
}
