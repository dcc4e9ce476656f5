package import Foundation
package import Postgres

/// Brings a database to the schema of this build, as its owner. Forward only.
///
/// Any number of migrators may run at once: an advisory lock lets one work and the others wait, and what they find done
/// they leave alone. Each migration and its entry in `schema_migrations` commit together.
package struct Migrator: Sendable {
    /// Where one migration stands.
    package struct Status: Sendable, Equatable {
        package enum State: Sendable, Equatable {
            case pending
            case applied(at: Date, took: Duration)
            /// Applied, but the script was another one then.
            case changed(at: Date)
            /// Applied by a newer build; this one doesn't have it.
            case unknown(at: Date)
        }

        package let version: Int
        package let name: String
        package let state: State
    }

    /// What ``migrate(progress:)`` tells while it works.
    package enum Progress: Sendable, Equatable {
        /// Another migrator holds the lock; said once.
        case waiting
        case started(Migration)
        case finished(Migration, took: Duration)
    }

    private let postgres: Postgres
    private let migrations: [Migration]

    /// - Parameters:
    ///   - postgres: connects as the owner.
    ///   - migrations: in order, with versions that rise by one.
    package init(_ postgres: Postgres, migrations: [Migration] = Migration.all) {
        self.postgres = postgres
        self.migrations = migrations
    }

    /// Every migration that this build or the database knows, by version.
    ///
    /// Changes nothing; in an empty database all are pending.
    package func status() async throws -> [Status] {
        let applied = try await postgres.withConnection { try await Self.applied(in: $0) }
        let known = migrations.map { migration in
            guard let row = applied[migration.version] else {
                return Status(version: migration.version, name: migration.name, state: .pending)
            }
            let isSame = row.checksum == migration.checksum
            return Status(
                version: migration.version,
                name: migration.name,
                state: isSame ? .applied(at: row.at, took: row.took) : .changed(at: row.at)
            )
        }
        let versions = Set(migrations.map(\.version))
        let unknown = applied.filter { !versions.contains($0.key) }.map { version, row in
            Status(version: version, name: row.name, state: .unknown(at: row.at))
        }
        return (known + unknown).sorted { $0.version < $1.version }
    }

    /// Applies what is pending, in order, and returns it; nothing when the database is up to date or newer.
    ///
    /// A failing migration leaves no trace but for what a script outside a transaction has committed already; those
    /// before it stay.
    ///
    /// - Throws: ``MigrationError`` when a script was changed after it had been applied, or fails.
    @discardableResult
    package func migrate(
        progress: @Sendable (Progress) -> Void = { _ in }
    ) async throws -> [Migration] {
        try await whileLocked(progress) { connection in
            _ = try await connection.query(Self.register)
            _ = try await connection.query("GRANT SELECT ON schema_migrations TO PUBLIC")
        }
        var done: [Migration] = []
        for migration in migrations {
            let took =
                migration.runsOutsideTransaction
                ? try await applyOutsideTransaction(migration, progress)
                : try await apply(migration, progress)
            if let took {
                progress(.finished(migration, took: took))
                done.append(migration)
            }
        }
        return done
    }

    /// Returns how long it took, or `nil` when the migration had been applied before.
    private func apply(
        _ migration: Migration,
        _ progress: @Sendable (Progress) -> Void
    ) async throws -> Duration? {
        try await whileLocked(progress) { connection -> Duration? in
            guard try await isPending(migration, in: connection) else { return nil }
            progress(.started(migration))
            let clock = ContinuousClock()
            let start = clock.now
            do throws(PostgresError) {
                try await connection.simple(migration.script)
            } catch {
                throw MigrationError.failed(migration.title, error)
            }
            let took = clock.now - start
            try await record(migration, took, in: connection)
            return took
        }
    }

    private func applyOutsideTransaction(
        _ migration: Migration,
        _ progress: @Sendable (Progress) -> Void
    ) async throws -> Duration? {
        try await postgres.withConnection { connection in
            try await waitForLock(progress) {
                try await connection.query("SELECT pg_try_advisory_lock(\(Self.lock)) AS locked").first?.get("locked")
                    ?? false
            }
            let outcome: Result<Duration?, any Error>
            do {
                outcome = .success(try await run(migration, in: connection, progress))
            } catch {
                outcome = .failure(error)
            }
            // The connection goes back to the pool: give back what belongs to its session. Where that fails, it is
            // broken, and the server has released the lock by itself.
            _ = try? await connection.simple("SELECT pg_advisory_unlock_all()")
            _ = try? await connection.simple("RESET statement_timeout")
            return try outcome.get()
        }
    }

    private func run(
        _ migration: Migration,
        in connection: PostgresConnection,
        _ progress: @Sendable (Progress) -> Void
    ) async throws -> Duration? {
        guard try await isPending(migration, in: connection) else { return nil }
        progress(.started(migration))
        let clock = ContinuousClock()
        let start = clock.now
        try await connection.simple("SET statement_timeout = 0")
        do throws(PostgresError) {
            for statement in migration.statements {
                try await connection.simple(statement)
            }
        } catch {
            throw MigrationError.failed(migration.title, error)
        }
        let took = clock.now - start
        try await record(migration, took, in: connection)
        return took
    }

    /// Whether the migration must run; checks that an applied one is the same, and that none after it was applied.
    private func isPending(_ migration: Migration, in connection: PostgresConnection) async throws -> Bool {
        let applied = try await Self.applied(in: connection)
        if let row = applied[migration.version] {
            guard row.checksum == migration.checksum else { throw MigrationError.changed(migration.title, at: row.at) }
            return false
        }
        if let newest = applied.keys.max(), newest > migration.version {
            throw MigrationError.overtaken(migration.title, by: newest)
        }
        return true
    }

    private func record(_ migration: Migration, _ took: Duration, in connection: PostgresConnection) async throws {
        _ = try await connection.query(
            """
            INSERT INTO schema_migrations (version, name, checksum, duration_ms)
            VALUES (\(migration.version), \(migration.name), \(migration.checksum), \(Int(took / .milliseconds(1))))
            """
        )
    }

    // MARK: - The lock

    /// The key of the advisory lock: "delight" in ASCII.
    private static let lock: Int = 0x64_65_6c_69_67_68_74

    /// Runs `body` in a transaction that holds the lock.
    private func whileLocked<T: Sendable>(
        _ progress: @Sendable (Progress) -> Void,
        _ body: (PostgresConnection) async throws -> T
    ) async throws -> T {
        var result: T?
        try await waitForLock(progress) {
            result = try await postgres.transaction(opening: ["SET LOCAL statement_timeout = 0"]) { connection in
                let locked = try await connection.query("SELECT pg_try_advisory_xact_lock(\(Self.lock)) AS locked")
                guard let row = locked.first, try row.get("locked", as: Bool.self) else { return nil }
                // Whoever waits for a table's lock makes all that come after wait too: better give up than stop the
                // service.
                try await connection.simple("SET LOCAL lock_timeout = '15s'")
                return try await body(connection)
            }
            return result != nil
        }
        guard let result else { throw CancellationError() }
        return result
    }

    /// Tries again until `attempt` gets the lock.
    ///
    /// Never waits inside a statement: CREATE INDEX CONCURRENTLY waits for every other transaction, and one that waited
    /// for the lock of its migrator would be waited for in turn.
    private func waitForLock(
        _ progress: @Sendable (Progress) -> Void,
        _ attempt: () async throws -> Bool
    ) async throws {
        guard try await !attempt() else { return }
        progress(.waiting)
        repeat {
            try await Task.sleep(for: .milliseconds(200))
        } while try await !attempt()
    }

    // MARK: - The register

    /// Readable by everybody: the roles that ask whether the schema is ready are made by the first migration.
    private static let register: SQL = """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            version integer PRIMARY KEY,
            name text NOT NULL,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now(),
            duration_ms bigint NOT NULL
        )
        """

    private struct Applied {
        let name: String
        let checksum: String
        let at: Date
        let took: Duration
    }

    private static func applied(in connection: PostgresConnection) async throws -> [Int: Applied] {
        let exists = try await connection.query("SELECT to_regclass('schema_migrations') IS NOT NULL AS exists")
        guard let row = exists.first, try row.get("exists", as: Bool.self) else { return [:] }
        let rows = try await connection.query(
            "SELECT version, name, checksum, applied_at, duration_ms FROM schema_migrations ORDER BY version"
        )
        var applied: [Int: Applied] = [:]
        for row in rows {
            applied[try row.get("version", as: Int.self)] = Applied(
                name: try row.get("name"),
                checksum: try row.get("checksum"),
                at: try row.get("applied_at"),
                took: .milliseconds(try row.get("duration_ms", as: Int.self))
            )
        }
        return applied
    }
}

/// Why the schema could not be brought up to date.
package enum MigrationError: Error, CustomStringConvertible {
    /// The script differs from the one that was applied.
    case changed(String, at: Date)
    /// A later migration was applied before this one.
    case overtaken(String, by: Int)
    case failed(String, PostgresError)

    package var description: String {
        switch self {
        case .changed(let title, let date):
            "migration \(title) was changed after it had been applied on \(date.ISO8601Format()); "
                + "put the file back as it was and write a new migration"
        case .overtaken(let title, let newest):
            "migration \(title) is pending although \(newest) has been applied; give it a number above \(newest)"
        case .failed(let title, let error):
            "migration \(title) failed: \(error)" + (error.detail.map { "\n\($0)" } ?? "")
        }
    }
}
