#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// A value that can be read from a column.
package protocol PostgresDecodable: Sendable {
    /// Reads PostgreSQL's text form, which is UTF-8 without a terminator; `nil` when it is not one of this type.
    init?(postgresText: UnsafeRawBufferPointer)

    /// What SQL NULL is read as; `nil` (the default) refuses it.
    static var postgresNull: Self? { get }
}

extension PostgresDecodable {
    package static var postgresNull: Self? { nil }
}

extension String: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        self.init(decoding: postgresText, as: UTF8.self)
    }
}

extension FixedWidthInteger {
    /// Decimal digits with an optional minus; no spaces, no fraction.
    fileprivate init?(decimal text: UnsafeRawBufferPointer) {
        var digits = text[...]
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative { digits = digits.dropFirst() }
        guard !digits.isEmpty else { return nil }
        var value: Self = 0
        for digit in digits {
            let unit = digit &- UInt8(ascii: "0")
            guard unit < 10, let small = Self(exactly: unit) else { return nil }
            let (tenfold, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowedToo) =
                isNegative ? tenfold.subtractingReportingOverflow(small) : tenfold.addingReportingOverflow(small)
            guard !overflowed, !overflowedToo else { return nil }
            value = sum
        }
        self = value
    }
}

extension Int: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        self.init(decimal: postgresText)
    }
}

extension Int16: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        self.init(decimal: postgresText)
    }
}

extension Int32: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        self.init(decimal: postgresText)
    }
}

extension Int64: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        self.init(decimal: postgresText)
    }
}

extension UInt8: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        self.init(decimal: postgresText)
    }
}

extension Bool: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        guard postgresText.count == 1 else { return nil }
        switch postgresText[0] {
        case UInt8(ascii: "t"): self = true
        case UInt8(ascii: "f"): self = false
        default: return nil
        }
    }
}

extension Double: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        let text = String(decoding: postgresText, as: UTF8.self)
        switch text {
        case "NaN": self = .nan
        case "Infinity": self = .infinity
        case "-Infinity": self = -.infinity
        default: self.init(text)
        }
    }
}

extension UUID: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        guard postgresText.count == 36 else { return nil }
        var bytes: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        let isRead = withUnsafeMutableBytes(of: &bytes) { bytes in
            var position = 0
            for index in 0..<16 {
                if position == 8 || position == 13 || position == 18 || position == 23 {
                    guard postgresText[position] == UInt8(ascii: "-") else { return false }
                    position += 1
                }
                guard let high = Hexadecimal.value(of: postgresText[position]),
                    let low = Hexadecimal.value(of: postgresText[position + 1])
                else { return false }
                bytes[index] = high << 4 | low
                position += 2
            }
            return true
        }
        guard isRead else { return nil }
        self.init(uuid: bytes)
    }
}

extension Date: PostgresDecodable {
    /// Reads timestamptz and date in the ISO style; `infinity` becomes the distant future or past.
    package init?(postgresText: UnsafeRawBufferPointer) {
        guard let date = Timestamp.date(from: postgresText) else { return nil }
        self = date
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    package init?(postgresText: UnsafeRawBufferPointer) {
        guard let value = Wrapped(postgresText: postgresText) else { return nil }
        self = .some(value)
    }

    package static var postgresNull: Wrapped?? { .some(.none) }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
    package init?(postgresText: UnsafeRawBufferPointer) {
        guard let elements = Element.postgresArray(from: postgresText) else { return nil }
        self = elements
    }
}

/// Hexadecimal digits as PostgreSQL writes them in bytea and uuid.
enum Hexadecimal {
    static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    static func digit(of value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
