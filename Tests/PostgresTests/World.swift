import Foundation
import Logging

@testable import Postgres

/// What every suite here starts from: a client of the server that `TEST_POSTGRES_URL` names.
enum World {
    struct NoServer: Error, CustomStringConvertible {
        let description = """
            TEST_POSTGRES_URL is not set: these tests need a throw-away PostgreSQL, e.g. \
            postgres://postgres@127.0.0.1:5432/postgres as a superuser
            """
    }

    static func configuration() throws -> PostgresConfiguration {
        guard let url = ProcessInfo.processInfo.environment["TEST_POSTGRES_URL"] else { throw NoServer() }
        return PostgresConfiguration(url: url)
    }

    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs the body with a client of its own, which is shut down afterwards.
    static func with<T: Sendable>(
        _ change: (inout PostgresConfiguration) -> Void = { _ in },
        _ body: (Postgres) async throws -> T
    ) async throws -> T {
        var configuration = try configuration()
        change(&configuration)
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

    /// Runs the body while another connection holds the advisory lock that its statement waits for, so that a statement
    /// can be kept running for exactly as long as a test wants.
    static func blocking<T: Sendable>(_ body: (SQL) async throws -> T) async throws -> T {
        let key = Int32.random(in: 1...Int32.max)
        return try await with { postgres in
            try await postgres.transaction(opening: ["SELECT pg_advisory_xact_lock(\(key))"]) { _ in
                try await body(SQL(stringLiteral: "SELECT pg_advisory_lock_shared(\(key))"))
            }
        }
    }

    /// A name for a table that no other test uses.
    static func name(_ prefix: String = "t") -> SQL {
        let id = UUID().uuidString.lowercased().filter { $0 != "-" }
        return SQL.identifier("\(prefix)_\(id)")
    }

    /// Runs the body with a fresh table, which is dropped afterwards.
    static func withTable<T: Sendable>(
        _ postgres: Postgres,
        _ columns: SQL,
        _ body: (SQL) async throws -> T
    ) async throws -> T {
        let table = name()
        _ = try await postgres.query("CREATE TABLE \(raw: table) (\(raw: columns))")
        do {
            let value = try await body(table)
            _ = try await postgres.query("DROP TABLE \(raw: table)")
            return value
        } catch {
            _ = try? await postgres.query("DROP TABLE \(raw: table)")
            throw error
        }
    }

    /// Waits until the condition holds, at most the time given, which is long for machines that do much else.
    static func eventually(
        within limit: Duration = .seconds(60),
        _ condition: () async throws -> Bool
    ) async throws -> Bool {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return try await condition()
    }
}

/// The error of an act that should fail with one.
func failure<T>(_ act: () async throws -> T) async -> PostgresError? {
    do {
        _ = try await act()
        return nil
    } catch {
        return error as? PostgresError
    }
}
