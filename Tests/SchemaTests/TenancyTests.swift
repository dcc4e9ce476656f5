import Foundation
import Postgres
import Security
import Testing

@testable import Schema

@Suite struct TenancyTests {
    private let tables: [SQL] = [
        "organisations", "users", "sessions", "channels", "contacts", "conversations", "ticket_counters", "tickets",
    ]

    @Test func showsNothingBeforeAnOrganisationIsEntered() async throws {
        let world = try await World()

        for table in tables {
            let rows = try await world.database.application.query("SELECT count(*) AS count FROM \(raw: table)")

            #expect(try rows.first?.get("count", as: Int.self) == 0, "\(table.text)")
        }
    }

    @Test func forgetsTheOrganisationAfterTheTransaction() async throws {
        let world = try await World()
        let application = world.database.application

        let inside = try await world.count("tickets")
        let outside = try await application.query("SELECT count(*) AS count FROM tickets")

        #expect(inside == 1)
        #expect(try outside.first?.get("count", as: Int.self) == 0)
    }

    @Test func showsAnOrganisationItsOwnRowsAlone() async throws {
        let one = try await World()
        let other = try await World()

        for table in tables {
            #expect(try await one.count(table) == 1, "\(table.text)")
        }
        #expect(try await one.query("SELECT FROM tickets WHERE id = \(other.ticket)").isEmpty)
        #expect(try await one.query("UPDATE tickets SET subject = 'x' WHERE id = \(other.ticket)").affected == 0)
        #expect(try await one.query("DELETE FROM tickets WHERE org_id = \(other.org)").affected == 0)
    }

    @Test func refusesARowOfAnotherOrganisation() async throws {
        let one = try await World()
        let other = try await World()

        let state = try await sqlState {
            try await one.query("INSERT INTO channels (org_id, type, name) VALUES (\(other.org), 'mock', 'Theirs')")
        }

        #expect(state == "42501")
    }

    @Test func refusesAReferenceToAnotherOrganisationsRow() async throws {
        let one = try await World()
        let other = try await World()

        let assignee = try await sqlState {
            try await one.query("UPDATE tickets SET assignee_id = \(other.user) WHERE id = \(one.ticket)")
        }
        let channel = try await sqlState {
            try await one.query(
                """
                INSERT INTO conversations (org_id, channel_id, contact_id) VALUES (\(one.org), \(other.channel), \(one.contact))
                """
            )
        }

        #expect(assignee == "23503")
        #expect(channel == "23503")
    }

    @Test func keepsTheDirectoriesFromTheApplication() async throws {
        let database = try await TestDatabase.shared

        for table: SQL in ["email_directory", "channel_directory", "refresh_directory", "invite_directory"] {
            let state = try await sqlState { _ = try await database.application.query("SELECT FROM \(raw: table)") }

            #expect(state == "42501", "\(table.text)")
        }
    }

    @Test func keepsTheMigrationsFunctionsFromTheApplication() async throws {
        let database = try await TestDatabase.shared

        let state = try await sqlState {
            _ = try await database.application.query("SELECT hand_to_directory('fold(text)')")
        }

        #expect(state == "42501")
    }

    @Test(arguments: ["UPDATE audit SET action = 'x.y'", "DELETE FROM audit", "TRUNCATE audit"] as [SQL])
    func neverChangesAnAuditEntry(_ statement: SQL) async throws {
        let world = try await World()
        try await world.query(
            """
            INSERT INTO audit (org_id, actor_type, actor_id, action, entity_type)
            VALUES (\(world.org), 'user', \(world.user), 'ticket.close', 'ticket')
            """
        )

        let application = try await sqlState { try await world.query(statement) }
        let owner = try await sqlState { _ = try await world.database.owner.query(statement) }
        let administrator = try await sqlState { _ = try await world.database.administrator.query(statement) }

        #expect([application, owner, administrator] == ["42501", "42501", "42501"])
        #expect(try await world.count("audit") == 1)
    }

    @Test func admitsALogInRoleAndMakesItWhereItIsMissing() async throws {
        let database = try await TestDatabase.shared
        let name = "schema_test_\"\(UUID().uuidString.prefix(8))"

        try await Schema.admit(name, password: "it's a secret", in: database.owner)
        try await Schema.admit(name, password: "another", in: database.owner)

        let rows = try await database.administrator.query(
            """
            SELECT rolcanlogin AND NOT rolsuper AND pg_has_role(oid, 'delightchat_app', 'USAGE') AS is_admitted
              FROM pg_roles WHERE rolname = \(name)
            """
        )
        #expect(try rows.map { try $0.get("is_admitted", as: Bool.self) } == [true])
        _ = try await database.administrator.query("DROP ROLE \(raw: .identifier(name))")
    }

    @Test func saysThatALogInRoleIsMissing() async throws {
        let database = try await TestDatabase.shared

        let state = try await sqlState { try await Schema.admit("schema_test_nobody", in: database.owner) }

        #expect(state == "42704")
    }

    @Test func namesTheFaultOfARoleThatIsNotBound() async throws {
        let database = try await TestDatabase.shared
        let stranger = try await database.stranger()

        let faults = [
            try await Schema.roleFault(database.application),
            try await Schema.roleFault(database.owner),
            try await Schema.roleFault(database.administrator),
            try await Schema.roleFault(stranger),
        ]

        #expect(faults[0] == nil)
        #expect(faults[1] == "role schema_test_owner owns the schema; connect as a member of delightchat_app alone")
        #expect(faults[2]?.hasSuffix("is SUPERUSER or BYPASSRLS, which row-level security does not bind") == true)
        #expect(faults[3]?.hasPrefix("role schema_test_stranger is not a member of delightchat_app") == true)
        await stranger.shutdown()
    }
}

@Suite struct EnterOrganisationTests {
    private func enter(_ world: World, role: String = "admin", session: UUID? = nil, user: UUID? = nil) async throws
        -> String?
    {
        let rows = try await world.database.application.run([
            "SELECT enter_organisation(\(world.org), \(user ?? world.user), \(session ?? world.session), \(role)) AS name",
            "SELECT subject FROM tickets WHERE org_id = \(world.org)",
        ])
        #expect(rows[1].count == 1)
        return try rows[0].first?.get("name")
    }

    @Test func opensTheOrganisationForTheStatementsThatFollow() async throws {
        let world = try await World()

        // More often than once, so that the statements are prepared ones.
        for _ in 0..<3 {
            #expect(try await enter(world) == "Ann")
        }
    }

    @Test func refusesADeactivatedMember() async throws {
        let world = try await World()
        try await world.query("UPDATE users SET status = 'deactivated' WHERE id = \(world.user)")

        #expect(try await sqlState { _ = try await enter(world) } == "DC401")
    }

    @Test func refusesARoleThatTheMemberNoLongerHas() async throws {
        let world = try await World()

        #expect(try await sqlState { _ = try await enter(world, role: "agent") } == "DC401")
    }

    @Test func refusesASessionThatWasRevoked() async throws {
        let world = try await World()
        try await world.query(
            "UPDATE sessions SET revoked_at = now(), revoked_reason = 'logout' WHERE id = \(world.session)"
        )

        #expect(try await sqlState { _ = try await enter(world) } == "DC401")
    }

    @Test func refusesASessionThatHasExpired() async throws {
        let world = try await World()
        try await world.query("UPDATE sessions SET expires_at = now() WHERE id = \(world.session)")

        #expect(try await sqlState { _ = try await enter(world) } == "DC401")
    }

    @Test func refusesAnotherOrganisationsSessionAndMember() async throws {
        let world = try await World()
        let other = try await World()

        #expect(try await sqlState { _ = try await enter(world, session: other.session) } == "DC401")
        #expect(try await sqlState { _ = try await enter(world, session: other.session, user: other.user) } == "DC401")
    }

    @Test func abortsTheStatementsThatFollow() async throws {
        let world = try await World()

        let state = try await sqlState {
            _ = try await world.database.application.run([
                "SELECT enter_organisation(\(world.org), \(world.user), \(UUID()), 'admin')",
                "SELECT 1 / 0",
            ])
        }

        #expect(state == "DC401")
    }
}
