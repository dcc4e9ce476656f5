import CPostgres

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What one statement returned: its rows, in order, or none.
package struct PostgresRows: RandomAccessCollection, Sendable {
    private let result: QueryResult
    package let startIndex = 0
    package let endIndex: Int

    init(_ result: QueryResult) {
        self.result = result
        self.endIndex = result.rowCount
    }

    package subscript(position: Int) -> PostgresRow {
        precondition(indices.contains(position), "row \(position) of \(count)")
        return PostgresRow(rows: self, index: position)
    }

    /// Rows inserted, updated, deleted, selected or copied; 0 for other commands.
    package var affected: Int { result.affected }

    /// The names of the columns in order.
    package var columns: [String] { (0..<result.columnCount).map(result.columnName) }

    /// What the server calls that which it did: `INSERT 0 1`, `COMMIT`, `ROLLBACK`.
    var commandTag: String { result.commandTag }

    /// The first column of that name, exactly as the server spells it.
    package func columnIndex(_ name: String) -> Int? { result.columnIndex(name) }

    package func isNull(row: Int, column: Int) -> Bool {
        withText(row: row, column: column) { $0 == nil }
    }

    /// Lends the text of a value without a copy; `nil` is SQL NULL. The bytes must not be kept beyond the call.
    /// A row or column out of range traps.
    package func withText<R, E: Error>(
        row: Int,
        column: Int,
        _ body: (UnsafeRawBufferPointer?) throws(E) -> R
    ) throws(E) -> R {
        try result.withText(row: row, column: column, body)
    }
}

/// One row of a ``PostgresRows``; keeps the whole result alive.
package struct PostgresRow: Sendable {
    private let rows: PostgresRows
    private let index: Int

    init(rows: PostgresRows, index: Int) {
        self.rows = rows
        self.index = index
    }

    /// The value of a column; NULL only where the type is optional.
    ///
    /// - Throws: ``PostgresError/Kind/decoding`` naming the column that is absent, NULL or of another type.
    package func get<T: PostgresDecodable>(_ column: String, as type: T.Type = T.self) throws(PostgresError) -> T {
        guard let position = rows.columnIndex(column) else {
            throw PostgresError(.decoding, "there is no column \(column)", column: column)
        }
        return try value(position, name: column)
    }

    /// The value of the column at a position, counted from 0; out of range traps.
    package func get<T: PostgresDecodable>(_ position: Int, as type: T.Type = T.self) throws(PostgresError) -> T {
        try value(position, name: nil)
    }

    /// The value of a column, `nil` for NULL.
    ///
    /// - Throws: ``PostgresError/Kind/decoding`` naming the column that is absent or of another type.
    package func optional<T: PostgresDecodable>(
        _ column: String,
        as type: T.Type = T.self
    ) throws(PostgresError) -> T? {
        try get(column, as: T?.self)
    }

    private func value<T: PostgresDecodable>(_ position: Int, name: String?) throws(PostgresError) -> T {
        let value = rows.withText(row: index, column: position) { text in
            guard let text else { return T.postgresNull }
            return T(postgresText: text)
        }
        guard let value else {
            let name = name ?? rows.columns[position]
            let isNull = rows.withText(row: index, column: position) { $0 == nil }
            throw PostgresError(
                .decoding,
                isNull ? "column \(name) is NULL, not a \(T.self)" : "column \(name) is not a \(T.self)",
                column: name
            )
        }
        return value
    }
}

/// Owns a `PGresult` and frees it once.
///
/// Safe to share between threads though the compiler cannot see it: libpq never changes a result after handing it out,
/// reading it is documented as thread-safe, and the only call that frees it is in `deinit`.
final class QueryResult: @unchecked Sendable {
    private let pointer: OpaquePointer
    let rowCount: Int
    let columnCount: Int

    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
        self.rowCount = Int(PQntuples(pointer))
        self.columnCount = Int(PQnfields(pointer))
    }

    deinit { PQclear(pointer) }

    var affected: Int { PQcmdTuples(pointer).flatMap { Int(String(cString: $0)) } ?? 0 }

    var commandTag: String { PQcmdStatus(pointer).map { String(cString: $0) } ?? "" }

    func columnName(_ column: Int) -> String { PQfname(pointer, Int32(column)).map { String(cString: $0) } ?? "" }

    func columnIndex(_ name: String) -> Int? {
        name.withCString { name in
            (0..<columnCount).first { strcmp(PQfname(pointer, Int32($0)), name) == 0 }
        }
    }

    func withText<R, E: Error>(
        row: Int,
        column: Int,
        _ body: (UnsafeRawBufferPointer?) throws(E) -> R
    ) throws(E) -> R {
        precondition(
            row >= 0 && row < rowCount && column >= 0 && column < columnCount,
            "row \(row) of \(rowCount), column \(column) of \(columnCount)"
        )
        let row = Int32(truncatingIfNeeded: row)
        let column = Int32(truncatingIfNeeded: column)
        let count = Int(PQgetlength(pointer, row, column))
        if count == 0, PQgetisnull(pointer, row, column) != 0 { return try body(nil) }
        return try body(UnsafeRawBufferPointer(start: PQgetvalue(pointer, row, column), count: count))
    }
}
