package import JSON
package import Postgres

/// What a function answers: the members of an object, each with the SQL expression that it is read from.
///
/// A list goes from the query's answer into JSON column by column, without a Swift value in between (for a page of 25
/// tickets that is a fraction of what an encoder takes), and the description of the answer comes from the same place.
package struct Record: Sendable {
    package let name: String
    package let columns: [Column]
    /// The `SELECT` list, in the order in which ``write(_:row:from:into:)`` reads.
    package let selectList: SQL
    /// How many columns of an answer the record takes.
    package let width: Int
    private let steps: RecordSteps

    package init(_ name: String, _ columns: [Column]) {
        self.name = name
        self.columns = columns
        let leaves = columns.flatMap(\.leaves)
        width = leaves.count
        steps = RecordSteps(columns)
        selectList = SQL.joined(leaves.map { $0.sql ?? "NULL" }, separator: ", ")
    }

    /// Writes one row as an object, reading from column `first` on.
    package func write(_ rows: PostgresRows, row: Int, from first: Int = 0, into writer: inout JSONWriter) {
        writer.object { write(membersOf: rows, row: row, from: first, into: &$0) }
    }

    /// Writes a row's members into an object that the caller has open, to which it may add others.
    package func write(membersOf rows: PostgresRows, row: Int, from first: Int = 0, into writer: inout JSONWriter) {
        steps.write(rows, row: row, from: first, into: &writer)
    }

    /// One member of the object.
    package struct Column: Sendable {
        package indirect enum Kind: Sendable {
            case text, uuid, integer, number, boolean, time, json
            case choice([String])
            /// A `text[]`.
            case texts
            /// A nested object; `null` where its first column is.
            case object([Column])
            /// A list of objects that the function writes itself; described, never selected.
            case list(Record)
        }

        /// What a `json` member holds, for the description of the answer.
        package indirect enum Content: Sendable {
            case any
            /// An object whose members are of any name and value.
            case map
            /// An object with these members.
            case object([Column])
            /// Objects with these members.
            case objects([Column])
            /// Values of any kind.
            case values
        }

        package let name: String
        package let kind: Kind
        package let content: Content
        package let sql: SQL?
        package let isNullable: Bool
        /// Whether it may be left out by a function that writes it itself.
        package let isOptional: Bool
        package let doc: String

        package init(
            _ name: String,
            _ kind: Kind,
            _ sql: SQL? = nil,
            nullable: Bool = false,
            optional: Bool = false,
            content: Content = .any,
            doc: String = ""
        ) {
            self.name = name
            self.kind = kind
            self.content = content
            self.sql = sql
            self.doc = doc
            isNullable = nullable
            isOptional = optional
        }

        /// The columns that are selected for it.
        var leaves: [Column] {
            switch kind {
            case .object(let columns): columns.flatMap(\.leaves)
            case .list: []
            default: [self]
            }
        }
    }
}
