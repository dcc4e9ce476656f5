import ArgumentParser
import Foundation
import Logging
import Postgres

/// The database as its owner, who alone may change the schema.
enum Owner {
    /// The owner's URL: `DATABASE_OWNER_URL`, else `DATABASE_URL`, else the private database of a running `runner up`.
    static func url(_ environment: [String: String], root: String) throws -> String {
        for name in ["DATABASE_OWNER_URL", "DATABASE_URL"] {
            if let url = environment[name], !url.isEmpty { return url }
        }
        guard let url = PrivateAddresses.read(root: root)?.owner else {
            throw ValidationError(
                "No database: set DATABASE_OWNER_URL, or start `runner up`, whose private database is then used."
            )
        }
        return url
    }

    static func connected<Value: Sendable>(
        _ url: String,
        _ body: @Sendable (Postgres) async throws -> Value
    ) async throws -> Value {
        let logger = Logger(label: "database", factory: { _ in SwiftLogNoOpLogHandler() })
        var configuration = PostgresConfiguration(url: url)
        configuration.pooledConnections = 1
        configuration.pipelinedConnections = 1
        configuration.statementTimeout = .seconds(3600)
        let postgres = Postgres(configuration, logger: logger)
        do {
            let value = try await body(postgres)
            await postgres.shutdown()
            return value
        } catch {
            await postgres.shutdown()
            throw error
        }
    }
}

/// Where the private servers of a running `runner up` are, for commands in other terminals.
struct PrivateAddresses: Codable {
    let database: String
    let owner: String
    let redis: String

    private static func path(_ root: String) -> String { root + "/.runner/addresses.json" }

    /// `nil` where `runner up` has never run, or with servers of others.
    static func read(root: String) -> PrivateAddresses? {
        guard let data = FileManager.default.contents(atPath: path(root)) else { return nil }
        return try? JSONDecoder().decode(Self.self, from: data)  // unreadable: as good as absent
    }

    func write(root: String) throws {
        let path = Self.path(root)
        try JSONEncoder().encode(self).write(to: URL(fileURLWithPath: path), options: .atomic)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }
}
