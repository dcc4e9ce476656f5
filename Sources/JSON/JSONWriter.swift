package import Foundation

/// Writes compact JSON into a growing buffer.
///
/// Commas are its business, so callers only say what comes next. A list of rows goes from PostgreSQL's answer into the
/// buffer without a Swift value in between.
package struct JSONWriter: Sendable {
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    package init(capacity: Int = 256) {
        bytes.reserveCapacity(capacity)
    }

    package var text: String { String(decoding: bytes, as: UTF8.self) }

    // Structure

    package mutating func object(_ members: (inout JSONWriter) throws -> Void) rethrows {
        beginObject()
        try members(&self)
        endObject()
    }

    /// Opens an object that ``endObject()`` closes.
    package mutating func beginObject() { open(UInt8(ascii: "{")) }

    package mutating func endObject() { close(UInt8(ascii: "}")) }

    package mutating func array(_ elements: (inout JSONWriter) throws -> Void) rethrows {
        open(UInt8(ascii: "["))
        try elements(&self)
        close(UInt8(ascii: "]"))
    }

    package mutating func name(_ name: String) {
        separate()
        quoted(utf8: name.utf8)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    /// A name whose quoted form and colon were made beforehand: `"id":`.
    package mutating func prepared(name: UnsafeBufferPointer<UInt8>) {
        separate()
        bytes.append(contentsOf: name)
        needsComma = false
    }

    // Values

    package mutating func null() { raw("null") }

    package mutating func string(_ value: String) {
        separate()
        quoted(utf8: value.utf8)
        needsComma = true
    }

    package mutating func integer(_ value: some BinaryInteger) { raw(String(value)) }

    package mutating func number(_ value: Double) {
        value.isFinite ? raw(String(value)) : null()
    }

    package mutating func bool(_ value: Bool) { raw(value ? "true" : "false") }

    package mutating func time(_ value: Date) { string(value.rfc3339) }

    /// JSON text that was made elsewhere.
    package mutating func raw(_ json: String) {
        separate()
        bytes.append(contentsOf: json.utf8)
        needsComma = true
    }

    /// JSON text that was made elsewhere.
    package mutating func raw(_ json: some Collection<UInt8>) {
        separate()
        bytes.append(contentsOf: json)
        needsComma = true
    }

    package mutating func value(_ value: JSON) {
        switch value {
        case .null: null()
        case .bool(let flag): bool(flag)
        case .number(let text): raw(text)
        case .string(let text): string(text)
        case .array(let elements): array { for element in elements { $0.value(element) } }
        case .object(let members):
            object {
                for member in members {
                    $0.name(member.name)
                    $0.value(member.value)
                }
            }
        }
    }

    // Members

    package mutating func member(_ name: String, _ value: String?) {
        self.name(name)
        if let value { string(value) } else { null() }
    }

    package mutating func member(_ name: String, _ value: Int?) {
        self.name(name)
        if let value { integer(value) } else { null() }
    }

    package mutating func member(_ name: String, _ value: Bool) {
        self.name(name)
        bool(value)
    }

    package mutating func member(_ name: String, _ value: Date?) {
        self.name(name)
        if let value { time(value) } else { null() }
    }

    package mutating func member(_ name: String, _ value: JSON) {
        self.name(name)
        self.value(value)
    }

    // The text of a column, as PostgreSQL sends it

    /// A text column's bytes as a JSON string.
    package mutating func string(_ utf8: UnsafeRawBufferPointer) {
        separate()
        quoted(utf8: utf8)
        needsComma = true
    }

    /// The bytes of a column that are JSON already: numbers, `json`, `jsonb`.
    package mutating func verbatim(_ text: UnsafeRawBufferPointer) {
        separate()
        bytes.append(contentsOf: text)
        needsComma = true
    }

    /// A `timestamptz` of a session in UTC (`2026-11-22 14:45:00.12+00`) in RFC 3339 with milliseconds.
    package mutating func time(_ text: UnsafeRawBufferPointer) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        if text.count >= 19 {
            bytes.append(contentsOf: text[0..<10])
            bytes.append(UInt8(ascii: "T"))
            bytes.append(contentsOf: text[11..<19])
            bytes.append(UInt8(ascii: "."))
            var digits = 0
            if text.count > 20, text[19] == UInt8(ascii: ".") {
                while digits < 3, 20 + digits < text.count, (0x30...0x39).contains(text[20 + digits]) {
                    bytes.append(text[20 + digits])
                    digits += 1
                }
            }
            while digits < 3 {
                bytes.append(UInt8(ascii: "0"))
                digits += 1
            }
            bytes.append(UInt8(ascii: "Z"))
        }
        bytes.append(UInt8(ascii: "\""))
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func quoted(utf8: some Sequence<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        let copied: Void? = utf8.withContiguousStorageIfAvailable { escape($0) }
        if copied == nil { Array(utf8).withUnsafeBufferPointer { escape($0) } }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Appends runs that need no escape in one piece each.
    private mutating func escape(_ text: UnsafeBufferPointer<UInt8>) {
        var start = 0
        for index in 0..<text.count {
            let byte = text[index]
            guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
            if start < index { bytes.append(contentsOf: text[start..<index]) }
            start = index + 1
            switch byte {
            case UInt8(ascii: "\""): bytes.append(contentsOf: #"\""#.utf8)
            case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
            case 0x0A: bytes.append(contentsOf: #"\n"#.utf8)
            case 0x0D: bytes.append(contentsOf: #"\r"#.utf8)
            case 0x09: bytes.append(contentsOf: #"\t"#.utf8)
            default:
                let digits = String(byte, radix: 16)
                bytes.append(contentsOf: (digits.count == 1 ? #"\u000"# : #"\u00"#).utf8)
                bytes.append(contentsOf: digits.utf8)
            }
        }
        if start < text.count { bytes.append(contentsOf: text[start...]) }
    }
}

extension Date {
    /// UTC with milliseconds, rounded down: `2026-11-22T14:45:00.000Z`.
    package var rfc3339: String {
        let milliseconds = Int((timeIntervalSince1970 * 1000).rounded(.down))
        let days = (milliseconds >= 0 ? milliseconds : milliseconds - 86_399_999) / 86_400_000
        var rest = milliseconds - days * 86_400_000
        let date = CivilDate(daysSinceEpoch: days)
        func pad(_ value: Int, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let millisecond = rest % 1000
        rest /= 1000
        return "\(pad(date.year, 4))-\(pad(date.month, 2))-\(pad(date.day, 2))T"
            + "\(pad(rest / 3600, 2)):\(pad(rest / 60 % 60, 2)):\(pad(rest % 60, 2)).\(pad(millisecond, 3))Z"
    }
}

/// A day of the proleptic Gregorian calendar.
struct CivilDate {
    let year: Int
    let month: Int
    let day: Int

    /// By the era arithmetic of Howard Hinnant's "chrono-compatible low-level date algorithms".
    init(daysSinceEpoch: Int) {
        let shifted = daysSinceEpoch + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }
}
