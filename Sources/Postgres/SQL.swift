/// A statement and the values bound to it: `"… WHERE id = \(id)"`.
///
/// `\(value)` becomes a placeholder and travels apart from the text, so no value can change what the statement means.
/// `\(raw:)` splices another `SQL`, its placeholders renumbered; it takes no `String`. Types are inferred by the
/// server, so a place where it cannot (`SELECT \(x)`) is written with a cast: `\(x)::uuid`.
/// A text that stays the same is prepared once per connection; lists are therefore bound as one array
/// (`= ANY(\(ids))`), not joined from single values.
package struct SQL: ExpressibleByStringInterpolation, Sendable, Hashable {
    /// The text with its placeholders `$1`, `$2`, … in order of ``parameters``.
    package private(set) var text: String
    package private(set) var parameters: [PostgresParameter]

    /// Whether the server plans it anew each time, for these values, rather than once for all. For statements whose best plan depends
    /// on how many rows the values stand for; planning costs the server about a millisecond.
    package var isPlannedForItsValues = false

    /// Where the `$` of each placeholder lies in the text, in UTF-8 bytes; a `$1` inside a literal is not among them.
    private var placeholders: [Int]

    package init(stringLiteral value: String) {
        self.text = value
        self.parameters = []
        self.placeholders = []
    }

    package init(stringInterpolation: StringInterpolation) {
        self = stringInterpolation.sql
    }

    /// A name (table, channel, column) in double quotes, safe whatever it holds.
    package static func identifier(_ name: String) -> SQL {
        var quoted = "\""
        for character in name.unicodeScalars {
            if character == "\"" { quoted += "\"" }
            quoted.unicodeScalars.append(character)
        }
        return SQL(stringLiteral: quoted + "\"")
    }

    package static func + (left: SQL, right: SQL) -> SQL {
        var sum = left
        sum.append(right)
        return sum
    }

    package static func += (left: inout SQL, right: SQL) {
        left.append(right)
    }

    /// The parts one after another with the separator between them; empty when there are none.
    package static func joined(_ parts: some Sequence<SQL>, separator: SQL) -> SQL {
        var whole: SQL = ""
        for (index, part) in parts.enumerated() {
            if index > 0 { whole.append(separator) }
            whole.append(part)
        }
        return whole
    }

    fileprivate mutating func append(literal: String) {
        text += literal
    }

    fileprivate mutating func bind(_ parameter: PostgresParameter) {
        parameters.append(parameter)
        placeholders.append(text.utf8.count)
        text += "$"
        text += String(parameters.count)
    }

    private mutating func append(_ other: SQL) {
        guard !other.parameters.isEmpty else {
            text += other.text
            return
        }
        let bytes = other.text.utf8
        var position = bytes.startIndex
        for (index, placeholder) in other.placeholders.enumerated() {
            let dollar = bytes.index(bytes.startIndex, offsetBy: placeholder)
            text += other.text[position..<dollar]
            bind(other.parameters[index])
            position = bytes.index(dollar, offsetBy: 1 + String(index + 1).utf8.count)
        }
        text += other.text[position...]
    }

    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var sql: SQL = ""

        package init(literalCapacity: Int, interpolationCount: Int) {
            sql.text.reserveCapacity(literalCapacity + 3 * interpolationCount)
            sql.parameters.reserveCapacity(interpolationCount)
            sql.placeholders.reserveCapacity(interpolationCount)
        }

        package mutating func appendLiteral(_ literal: String) {
            sql.append(literal: literal)
        }

        package mutating func appendInterpolation(_ value: some PostgresEncodable) {
            sql.bind(PostgresParameter(text: value.postgresText))
        }

        /// An optional binds NULL for `nil`. Takes the optional as such, or the compiler warns at every use.
        package mutating func appendInterpolation(_ value: (some PostgresEncodable)?) {
            sql.bind(PostgresParameter(text: value?.postgresText))
        }

        package mutating func appendInterpolation(raw other: SQL) {
            sql.append(other)
        }
    }
}

/// A bound value as PostgreSQL's text form; `nil` is NULL.
package struct PostgresParameter: Sendable, Hashable {
    package let text: String?

    package init(text: String?) {
        self.text = text
    }
}
