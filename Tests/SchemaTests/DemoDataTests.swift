import Foundation
import Postgres
import Testing

@testable import Schema

@Suite struct DemoDataTests {
    @Test func makesTheDemoOrganisationOnce() async throws {
        let database = try await TestDatabase.empty()
        try await Migrator(database.owner).migrate()
        try await Schema.admit(TestDatabase.applicationName, in: database.owner)

        let made = try await DemoData.seed(database.application, passwordHash: "hash")
        let again = try await DemoData.seed(database.application, passwordHash: "other")

        let summary = try #require(made)
        #expect(again == nil)
        #expect(summary.ticketIds.count == 4)
        let login = try await database.application.query(
            "SELECT org_id, role, password_hash FROM find_login('Demo@DelightChat.local')"
        )
        #expect(try login.first?.get("org_id", as: UUID.self) == summary.organisationId)
        #expect(try login.first?.get("role", as: String.self) == "admin")
        #expect(try login.first?.get("password_hash", as: String.self) == "hash")
        let rows = try await database.application.run([
            "SELECT enter_organisation(\(summary.organisationId))",
            "SELECT array_agg(number ORDER BY number)::text AS numbers FROM tickets",
            "SELECT count(*) AS count FROM messages WHERE status = 'queued'",
        ])
        #expect(try rows[1].first?.get("numbers", as: String.self) == "{1,2,3,4}")
        #expect(try rows[2].first?.get("count", as: Int.self) == 0)
        await database.close()
    }

    @Test func canBeMadeByAnOwnerWhoIsNoSuperuser() async throws {
        let database = try await TestDatabase.empty()
        try await Migrator(database.owner).migrate()

        #expect(try await DemoData.seed(database.owner, passwordHash: "hash") != nil)
        await database.close()
    }
}
