/// Any JSON value of a webhook that is passed on without being understood.
package enum JSONValue: Sendable, Hashable, Codable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {  // the next type is tried instead
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {  // likewise
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {  // likewise
            self = .number(value)
        } else if let value = try? container.decode(String.self) {  // likewise
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {  // likewise
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    /// The same without U+0000 in names and strings.
    package var storable: JSONValue {
        switch self {
        case .string(let value): .string(value.withoutNull)
        case .array(let elements): .array(elements.map(\.storable))
        case .object(let members):
            .object(Dictionary(members.map { ($0.withoutNull, $1.storable) }, uniquingKeysWith: { first, _ in first }))
        default: self
        }
    }
}

extension String {
    /// Without U+0000, the one character that PostgreSQL can't store.
    var withoutNull: String {
        utf8.contains(0) ? String(String.UnicodeScalarView(unicodeScalars.filter { $0 != "\0" })) : self
    }
}
