package import Foundation
package import Postgres

/// What became of the schedules, in PostgreSQL: Redis may forget that a fire has been.
package struct ScheduleStore: Sendable {
    /// One schedule's last fire, and what it has been through.
    package struct Record: Sendable {
        package let name: String
        package let due: Date
        package let began: Date
        /// `nil` while it runs, or when its process died.
        package let ended: Date?
        package let error: String?
        package let fires: Int
        package let failures: Int
        package let skipped: Int
        package let missed: Int
        package let lastMissed: Date?
    }

    private let postgres: Postgres

    package init(_ postgres: Postgres) {
        self.postgres = postgres
    }

    /// Every schedule that has ever fired, by name.
    package func all() async throws(PostgresError) -> [Record] {
        try await postgres.query(
            """
            SELECT name, due_at, began_at, ended_at, error, fires, failures, skipped, missed, missed_at
              FROM schedules ORDER BY name
            """
        ).map(Record.init)
    }

    func record(of name: String) async throws(PostgresError) -> Record? {
        try await postgres.query(
            """
            SELECT name, due_at, began_at, ended_at, error, fires, failures, skipped, missed, missed_at
              FROM schedules WHERE name = \(name)
            """
        ).first.map(Record.init)
    }

    /// Notes that a fire begins, with those before it that never did.
    func begin(_ name: String, due: Date, missed: Int, lastMissed: Date?) async throws(PostgresError) {
        _ = try await postgres.query(
            """
            INSERT INTO schedules AS s (name, due_at, began_at, missed, missed_at)
            VALUES (\(name), \(due), clock_timestamp(), \(missed), \(lastMissed)::timestamptz)
            ON CONFLICT (name) DO UPDATE
               SET due_at = excluded.due_at, began_at = excluded.began_at, ended_at = NULL, error = NULL,
                   fires = s.fires + 1, missed = s.missed + excluded.missed,
                   missed_at = coalesce(excluded.missed_at, s.missed_at)
             WHERE s.due_at <= excluded.due_at
            """
        )
    }

    func end(_ name: String, due: Date, error: String?) async throws(PostgresError) {
        _ = try await postgres.query(
            """
            UPDATE schedules
               SET ended_at = clock_timestamp(), error = \(error)::text,
                   failures = failures + CASE WHEN \(error)::text IS NULL THEN 0 ELSE 1 END
             WHERE name = \(name) AND due_at = \(due)
            """
        )
    }

    /// Notes that a fire was left out because the one before was still running.
    func skip(_ name: String) async throws(PostgresError) {
        _ = try await postgres.query("UPDATE schedules SET skipped = skipped + 1 WHERE name = \(name)")
    }
}

extension ScheduleStore.Record {
    fileprivate init(row: PostgresRow) throws(PostgresError) {
        name = try row.get("name")
        due = try row.get("due_at")
        began = try row.get("began_at")
        ended = try row.get("ended_at")
        error = try row.get("error")
        fires = try row.get("fires")
        failures = try row.get("failures")
        skipped = try row.get("skipped")
        missed = try row.get("missed")
        lastMissed = try row.get("missed_at")
    }
}
