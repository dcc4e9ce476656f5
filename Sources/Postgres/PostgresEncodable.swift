#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// A value that can be bound to a statement.
///
/// Conform an own type through the type it wraps: `var postgresText: String? { rawValue.postgresText }`.
package protocol PostgresEncodable: Sendable {
    /// The text form the server reads (PostgreSQL manual, chapter "Data Types"); `nil` is NULL.
    var postgresText: String? { get }
}

extension String: PostgresEncodable {
    package var postgresText: String? { self }
}

extension Int: PostgresEncodable {
    package var postgresText: String? { String(self) }
}

extension Int16: PostgresEncodable {
    package var postgresText: String? { String(self) }
}

extension Int32: PostgresEncodable {
    package var postgresText: String? { String(self) }
}

extension Int64: PostgresEncodable {
    package var postgresText: String? { String(self) }
}

extension UInt8: PostgresEncodable {
    package var postgresText: String? { String(self) }
}

extension Bool: PostgresEncodable {
    package var postgresText: String? { self ? "t" : "f" }
}

extension Double: PostgresEncodable {
    package var postgresText: String? {
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Infinity" : "Infinity" }
        return description
    }
}

extension UUID: PostgresEncodable {
    package var postgresText: String? { uuidString }
}

extension Date: PostgresEncodable {
    /// ISO 8601 in UTC, rounded to the microsecond that timestamptz holds.
    package var postgresText: String? { Timestamp.text(of: self) }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    package var postgresText: String? { self?.postgresText }
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
    /// An array in braces, or bytea in hexadecimal for `[UInt8]`.
    package var postgresText: String? { Element.postgresArrayText(self) }
}
