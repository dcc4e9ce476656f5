package import Postgres

extension TestDatabase {
    /// The rows of a statement that sees every organisation's.
    package func rows(_ statement: SQL) async throws -> PostgresRows {
        try await Self.administer(ownerURL) { try await $0.query(statement) }
    }

    /// The first column of the only row, named `value`.
    package func integer(_ statement: SQL) async throws -> Int {
        guard let row = try await rows(statement).first else { throw NeverHappened() }
        return try row.get("value")
    }

    package func texts(_ statement: SQL) async throws -> [String] {
        try await rows(statement).map { try $0.get("value") }
    }

    /// Runs statements that change what a test needs to be otherwise.
    package func script(_ text: String) async throws {
        try await Self.administer(ownerURL) { _ = try await $0.simple(text) }
    }
}
