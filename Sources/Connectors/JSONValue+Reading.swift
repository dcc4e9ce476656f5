import Foundation

extension JSONValue {
    /// Reads a webhook's body; `nil` when it is no JSON object.
    init?(body: [UInt8]) {
        // Not by Codable, which tries each type in turn: a webhook of a thousand events is to be answered at once.
        guard let object = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else { return nil }
        self.init(any: object)
    }

    private init(any value: Any) {
        switch value {
        case let text as String: self = .string(text)
        case let members as [String: Any]: self = .object(members.mapValues(JSONValue.init(any:)))
        case let elements as [Any]: self = .array(elements.map(JSONValue.init(any:)))
        case let number as NSNumber: self = Self.number(number)
        default: self = .null
        }
    }

    private static func number(_ number: NSNumber) -> JSONValue {
        // Told apart by how they are held: a Double would take 64-bit ids for their neighbours.
        switch String(cString: number.objCType) {
        case "c", "B": .bool(number.boolValue)
        case "d", "f": .number(number.doubleValue)
        case "Q": Int64(exactly: number.uint64Value).map(JSONValue.integer) ?? .string(number.stringValue)
        default: .integer(number.int64Value)
        }
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

    /// Compact JSON text, members by name.
    var text: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // A number that isn't finite is the only thing that can't be written, and no JSON text has one.
        guard let data = try? encoder.encode(self) else { return "null" }
        return String(decoding: data, as: UTF8.self)
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
