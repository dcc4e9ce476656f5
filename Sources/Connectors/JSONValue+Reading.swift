import Foundation
import JSON

extension JSONValue {
    /// Reads a webhook's body or an answer; `nil` when it is no JSON object.
    init?(body: [UInt8]) {
        // Deeper than anything that a provider sends: what isn't understood of a webhook is kept, not refused.
        guard let json = try? JSON.parse(body, levels: 512), case .object = json else { return nil }
        self.init(json)
    }

    /// A member of an object.
    subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self, let value = members[name], value != .null else { return nil }
        return value
    }

    /// The elements of an array; none of what isn't one.
    var elements: [JSONValue] {
        if case .array(let elements) = self { elements } else { [] }
    }

    var isObject: Bool {
        if case .object = self { true } else { false }
    }

    /// Text, without U+0000.
    var string: String? {
        if case .string(let value) = self { value.withoutNull } else { nil }
    }

    /// An id, which some providers write as a number in one place and as text in another; 1…1024 bytes.
    var id: String? {
        let id: String? =
            switch self {
            case .string(let value): value.withoutNull
            case .integer(let value): String(value)
            default: nil
            }
        guard let id, (1...1024).contains(id.utf8.count) else { return nil }
        return id
    }

    var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .string(let value): Int64(value)
        default: nil
        }
    }

    var isTrue: Bool { self == .bool(true) }

    /// Seconds since 1970, as a number or as text.
    var seconds: Date? { integer.flatMap { Self.moment(milliseconds: $0.multipliedReportingOverflow(by: 1000)) } }

    /// Milliseconds since 1970, as a number or as text.
    var milliseconds: Date? { integer.flatMap { Self.moment(milliseconds: ($0, false)) } }

    /// `nil` for what can't be a time of a message.
    private static func moment(milliseconds: (partialValue: Int64, overflow: Bool)) -> Date? {
        // Until the year 2286.
        guard !milliseconds.overflow, (0...9_999_999_999_999).contains(milliseconds.partialValue) else { return nil }
        return Date(timeIntervalSince1970: Double(milliseconds.partialValue) / 1000)
    }

    /// The same without U+0000 and without what lies deeper than so many levels.
    func kept(depth: Int = 16) -> JSONValue {
        guard depth > 0 else { return .null }
        return switch self {
        case .string(let value): .string(value.withoutNull)
        case .array(let elements): .array(elements.map { $0.kept(depth: depth - 1) })
        case .object(let members):
            .object(
                Dictionary(
                    members.map { ($0.withoutNull, $1.kept(depth: depth - 1)) },
                    uniquingKeysWith: { first, _ in first }
                )
            )
        default: self
        }
    }
}

extension Dictionary where Key == String, Value == JSONValue {
    /// A JSON object, or `nil` where nothing is in it.
    var asMetadata: JSONValue? { isEmpty ? nil : .object(self).kept() }
}

extension String {
    /// At most so many bytes of an id; `nil` when it is empty or longer.
    func asId(_ most: Int = 512) -> String? {
        let id = withoutNull
        return (1...most).contains(id.utf8.count) ? id : nil
    }

    /// A file's name as it may be shown: its last part, without control and direction characters.
    var asFileName: String? {
        let last = split { $0 == "/" || $0 == "\\" }.last.map(String.init) ?? ""
        let scalars = last.unicodeScalars.filter { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
            default: true
            }
        }
        let name = String(String.UnicodeScalarView(scalars)).trimmingCharacters(in: .whitespaces)
        return name.isEmpty || name.allSatisfy { $0 == "." } ? nil : String(name.prefix(255))
    }
}
