import JSON

/// Any JSON value of a webhook or a provider's answer, looked into by name; numbers are told apart by how they are written.
package enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(_ json: JSON) {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .number(let text): self = Self.number(spelled: text)
        case .string(let value): self = .string(value)
        case .array(let elements): self = .array(elements.map(JSONValue.init))
        case .object(let members):
            self = .object(
                Dictionary(members.map { ($0.name, JSONValue($0.value)) }, uniquingKeysWith: { _, last in last })
            )
        }
    }

    /// A Double would take 64-bit ids for their neighbours; what neither type holds is kept as it is written.
    private static func number(spelled text: String) -> JSONValue {
        if let integer = Int64(text) { return .integer(integer) }
        guard text.utf8.contains(where: { [0x2E, 0x65, 0x45].contains($0) }), let value = Double(text), value.isFinite
        else { return .string(text) }
        return .number(value)
    }

    /// Compact JSON text, members by name.
    package var text: String {
        var writer = JSONWriter()
        write(to: &writer)
        return writer.text
    }

    private func write(to writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let value): writer.bool(value)
        case .integer(let value): writer.integer(value)
        case .number(let value): writer.number(value)
        case .string(let value): writer.string(value)
        case .array(let elements): writer.array { for element in elements { element.write(to: &$0) } }
        case .object(let members):
            writer.object {
                for (name, value) in members.sorted(by: { $0.key < $1.key }) {
                    $0.name(name)
                    value.write(to: &$0)
                }
            }
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
