import Foundation
import Logging
import Postgres
import Security
import Testing

@testable import Schema

/// A database of its own in the cluster of TEST_POSTGRES_URL, with an owner who is no superuser and an application's
/// log-in.
struct TestDatabase {
    let owner: Postgres
    let application: Postgres
    /// The superuser's, for what neither of the two may do.
    let administrator: Postgres

    static let ownerName = "schema_test_owner"
    static let applicationName = "schema_test_app"

    /// Migrated, and shared by the tests that keep to an organisation of their own.
    static var shared: TestDatabase {
        get async throws { try await sharedTask.value }
    }

    private static let sharedTask = Task {
        let database = try await TestDatabase.empty()
        try await Migrator(database.owner).migrate()
        try await Schema.admit(applicationName, in: database.owner)
        return database
    }

    /// A new, empty database.
    static func empty() async throws -> TestDatabase {
        let server = Postgres(PostgresConfiguration(url: try url()), logger: logger)
        let name = "schema_test_\(UUID().uuidString.prefix(8).lowercased())"
        _ = try await server.query(roles)
        _ = try await server.query(
            "CREATE DATABASE \(raw: .identifier(name)) OWNER \(raw: .identifier(ownerName))",
            timeout: .seconds(60)
        )
        await server.shutdown()
        return TestDatabase(
            owner: Postgres(
                PostgresConfiguration(url: try url(user: ownerName, database: name), pipelinedConnections: 1),
                logger: logger
            ),
            application: Postgres(
                PostgresConfiguration(url: try url(user: applicationName, database: name), pipelinedConnections: 1),
                logger: logger
            ),
            administrator: Postgres(
                PostgresConfiguration(url: try url(database: name), pipelinedConnections: 1),
                logger: logger
            )
        )
    }

    /// Makes another client of the same database, as a log-in that has no part in the schema.
    func stranger() async throws -> Postgres {
        let name = try #require(
            try await administrator.query("SELECT current_database()::text AS name").first?.get("name", as: String.self)
        )
        return Postgres(
            PostgresConfiguration(url: try Self.url(user: "schema_test_stranger", database: name)),
            logger: Self.logger
        )
    }

    func close() async {
        await owner.shutdown()
        await application.shutdown()
        await administrator.shutdown()
    }

    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private static func url(user: String? = nil, database: String? = nil) throws -> String {
        let text = try #require(
            ProcessInfo.processInfo.environment["TEST_POSTGRES_URL"],
            "set TEST_POSTGRES_URL to a superuser of a throw-away PostgreSQL; runner/test does"
        )
        var components = try #require(URLComponents(string: text))
        if let user {
            components.user = user
            components.password = "test"
        }
        if let database { components.path = "/\(database)" }
        return try #require(components.string)
    }

    /// Roles belong to the cluster, so suites that run at once meet here.
    private static let roles: SQL = """
        DO $$
        BEGIN
            PERFORM pg_advisory_xact_lock(4711);
            IF to_regrole('delightchat_app') IS NULL THEN CREATE ROLE delightchat_app NOLOGIN; END IF;
            IF to_regrole('delightchat_directory') IS NULL THEN CREATE ROLE delightchat_directory NOLOGIN; END IF;
            IF to_regrole('schema_test_owner') IS NULL THEN
                CREATE ROLE schema_test_owner LOGIN CREATEROLE PASSWORD 'test';
                GRANT delightchat_app, delightchat_directory TO schema_test_owner WITH ADMIN OPTION;
            END IF;
            IF to_regrole('schema_test_app') IS NULL THEN CREATE ROLE schema_test_app LOGIN PASSWORD 'test'; END IF;
            IF to_regrole('schema_test_stranger') IS NULL THEN CREATE ROLE schema_test_stranger LOGIN PASSWORD 'test'; END IF;
        END
        $$
        """
}

/// An organisation with a member, a session, a channel, a contact and a ticket.
struct World {
    let database: TestDatabase
    let org = UUID.v7()
    let user = UUID.v7()
    let session = UUID.v7()
    let channel = UUID.v7()
    let contact = UUID.v7()
    let ticket = UUID.v7()
    let email: String

    init() async throws {
        self.database = try await TestDatabase.shared
        self.email = "Admin.\(UUID().uuidString)@Example.com"
        try await run([
            "INSERT INTO organisations (id, name, slug) VALUES (\(org), 'Test', 'test')",
            """
            INSERT INTO users (org_id, id, email, name, role, password_hash)
            VALUES (\(org), \(user), \(email), 'Ann', 'admin', 'hash')
            """,
            """
            INSERT INTO sessions (org_id, id, user_id, expires_at)
            VALUES (\(org), \(session), \(user), now() + interval '30 days')
            """,
            "INSERT INTO channels (org_id, id, type, name) VALUES (\(org), \(channel), 'mock', 'Mock')",
            "INSERT INTO contacts (org_id, id, name, phone) VALUES (\(org), \(contact), 'Carl Custom', '+4915112345678')",
            """
            INSERT INTO conversations (org_id, channel_id, contact_id) VALUES (\(org), \(channel), \(contact))
            """,
            """
            INSERT INTO tickets (org_id, id, number, channel_id, contact_id, subject)
            VALUES (\(org), \(ticket), next_ticket_number(\(org)), \(channel), \(contact), 'Broken kettle')
            """,
        ])
    }

    /// Runs the statements as the application, inside the organisation, in one round trip.
    @discardableResult
    func run(_ statements: [SQL]) async throws -> [PostgresRows] {
        Array(try await database.application.run(["SELECT enter_organisation(\(org))"] + statements).dropFirst())
    }

    /// As ``run(_:)``, of one statement.
    @discardableResult
    func query(_ statement: SQL) async throws -> PostgresRows {
        try await run([statement])[0]
    }

    func count(_ table: SQL) async throws -> Int {
        try await query("SELECT count(*) AS count FROM \(raw: table)").first?.get("count") ?? -1
    }
}

/// The SQLSTATE with which `body` fails, or `nil`.
func sqlState(_ body: () async throws -> Void) async throws -> String? {
    do {
        try await body()
        return nil
    } catch let error as PostgresError {
        return error.sqlState
    }
}
