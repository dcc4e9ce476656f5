package import Postgres

/// Reads the tables of a database for a person who looks into it: never writes, and by default shows no tenant's data.
///
/// What is masked is masked by the statement, so that it doesn't leave the server.
package struct TableBrowser: Sendable {
    /// Rows of one page.
    static let page = 50

    struct Table: Sendable, Equatable {
        let name: String
        /// The planner's estimate; -1 before the first analysis.
        let rows: Int
        let bytes: Int
    }

    struct Column: Sendable, Equatable {
        let name: String
        let type: String
        let isMasked: Bool
    }

    struct Page: Sendable, Equatable {
        let columns: [Column]
        /// Values as text, `nil` for NULL.
        let rows: [[String?]]
        let hasMore: Bool
    }

    private let postgres: Postgres
    private let organisation: String?
    private let shows: Bool

    /// - Parameters:
    ///   - postgres: connects as the owner.
    ///   - organisation: whose rows are shown where row-level security binds the owner too: a UUID.
    ///   - showsData: texts and documents too; secrets and hashes stay masked all the same.
    package init(_ postgres: Postgres, organisation: String?, showsData: Bool) {
        self.postgres = postgres
        self.organisation = organisation
        shows = showsData
    }

    func tables() async throws -> [Table] {
        try await read(
            """
            SELECT relname::text AS name, reltuples::bigint AS rows, pg_total_relation_size(oid) AS bytes
              FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
             ORDER BY relname
            """
        ).map { row in
            Table(name: try row.get("name"), rows: try row.get("rows"), bytes: try row.get("bytes"))
        }
    }

    /// The newest rows by primary key, or `nil` where there is no such table; pages count from 0.
    func page(_ number: Int, of table: String) async throws -> Page? {
        let described = try await read(
            """
            SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
                   coalesce(a.attnum = ANY(k.conkey), false) AS is_key, t.typcategory::text AS category,
                   EXISTS (
                       SELECT FROM pg_constraint c
                        WHERE c.conrelid = a.attrelid AND c.contype = 'c' AND c.conkey = ARRAY[a.attnum]
                          AND pg_get_constraintdef(c.oid) LIKE '%= ANY (ARRAY[%'
                   ) AS is_word
              FROM pg_attribute a
              JOIN pg_type t ON t.oid = a.atttypid
              LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'p'
             WHERE a.attrelid = (
                       SELECT oid FROM pg_class
                        WHERE relname = \(table)::text AND relnamespace = 'public'::regnamespace
                          AND relkind IN ('r', 'p')
                   )
               AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum
            """
        )
        guard !described.isEmpty else { return nil }
        var keys: [SQL] = []
        let columns = try described.map { row in
            let name: String = try row.get("name")
            if try row.get("is_key", as: Bool.self) { keys.append(.identifier(name) + " DESC") }
            return Column(
                name: name,
                type: try row.get("type"),
                isMasked: isMasked(
                    name,
                    try row.get("type"),
                    category: try row.get("category"),
                    isWord: try row.get("is_word")
                )
            )
        }
        let values = columns.map { column -> SQL in
            column.isMasked
                ? "CASE WHEN \(raw: .identifier(column.name)) IS NULL THEN NULL ELSE '•••' END"
                : "left(\(raw: .identifier(column.name))::text, 2000)"
        }
        var statement: SQL = "SELECT \(raw: .joined(values, separator: ", ")) FROM public.\(raw: .identifier(table))"
        if !keys.isEmpty { statement += " ORDER BY " + .joined(keys, separator: ", ") }
        statement += " LIMIT \(Self.page + 1) OFFSET \(number * Self.page)"
        let rows = try await read(statement)
        return Page(
            columns: columns,
            rows: try rows.prefix(Self.page).map { row in
                try columns.indices.map { try row.get($0, as: String?.self) }
            },
            hasMore: rows.count > Self.page
        )
    }

    /// Ids, numbers, times, truth values and words out of a fixed list tell nothing about a customer; the rest might.
    private func isMasked(_ name: String, _ type: String, category: String, isWord: Bool) -> Bool {
        if type == "uuid" { return false }
        // Whatever is bytes here is sealed or a digest.
        let secrets = ["password", "secret", "token", "hash", "credential"]
        if type == "bytea" || secrets.contains(where: { name.contains($0) }) { return true }
        // B truth values, D times, N numbers, T spans; https://www.postgresql.org/docs/15/catalog-pg-type.html
        return !(shows || isWord || ["B", "D", "N", "T"].contains(category))
    }

    private func read(_ statement: SQL) async throws -> PostgresRows {
        var opening: [SQL] = ["SET TRANSACTION READ ONLY"]
        if let organisation { opening.append("SELECT set_config('app.org_id', \(organisation), true)") }
        return try await postgres.transaction(opening: opening, timeout: .seconds(10)) { try await $0.query(statement) }
    }
}
