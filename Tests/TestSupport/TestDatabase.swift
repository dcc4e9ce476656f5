import Foundation
import Logging
package import Postgres
import Schema

/// A database of one suite, made from a template that is migrated once for the whole run.
package struct TestDatabase: Sendable {
    package let name: String
    /// The owner's, for looking behind row-level security.
    package let ownerURL: String
    /// That of the application's role, which row-level security binds.
    package let applicationURL: String

    /// Makes a new database, on the run's cluster unless `server` is the owner's URL of another; the cluster is thrown away
    /// after the run, and the database with it.
    package static func make(on server: String? = nil) async throws -> TestDatabase {
        let server = try server ?? TestServers.postgres
        let template = try await Template.shared.name(on: server)
        let name = "test_" + UUID().uuidString.lowercased().replacing("-", with: "")
        try await administer(server) {
            _ = try await $0.query(SQL(stringLiteral: "CREATE DATABASE \(name) TEMPLATE \(template)"))
        }
        return try TestDatabase(name: name, server: server)
    }

    private init(name: String, server: String) throws {
        self.name = name
        ownerURL = try Self.url(server, database: name)
        applicationURL = try Self.url(server, database: name, user: "delightchat_test")
    }

    /// A client that sees every row.
    package func owner() -> Postgres { Self.client(ownerURL) }

    static func client(_ url: String) -> Postgres {
        var configuration = PostgresConfiguration(url: url)
        configuration.pipelinedConnections = 1
        configuration.pooledConnections = 4
        // Databases are made one after another, however many suites ask at once.
        configuration.statementTimeout = .seconds(300)
        return Postgres(configuration, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    static func administer<Value: Sendable>(
        _ url: String,
        _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let postgres = client(url)
        do {
            let value = try await postgres.withConnection(body)
            await postgres.shutdown()
            return value
        } catch {
            await postgres.shutdown()
            throw error
        }
    }

    static func url(_ server: String, database: String, user: String? = nil) throws -> String {
        guard var parts = URLComponents(string: server) else { throw URLError(.badURL) }
        parts.path = "/" + database
        if let user { parts.user = user }
        guard let url = parts.string else { throw URLError(.badURL) }
        return url
    }

    /// Made once per process and cluster, whichever suite comes first.
    private actor Template {
        static let shared = Template()
        private var made: [String: Task<String, any Error>] = [:]

        func name(on server: String) async throws -> String {
            if let made = made[server] { return try await made.value }
            let task = Task { try await Self.make(on: server) }
            made[server] = task
            return try await task.value
        }

        private static func make(on server: String) async throws -> String {
            let name = "template_\(ProcessInfo.processInfo.processIdentifier)"
            try await administer(server) { connection in
                _ = try await connection.query(SQL(stringLiteral: "DROP DATABASE IF EXISTS \(name)"))
                _ = try await connection.query(SQL(stringLiteral: "CREATE DATABASE \(name)"))
            }
            let postgres = client(try url(server, database: name))
            _ = try await Migrator(postgres).migrate()
            try await Schema.admit("delightchat_test", password: "", in: postgres)
            await postgres.shutdown()
            return name
        }
    }
}
