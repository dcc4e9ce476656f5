package import JSON

/// What a value may be: checked on input, printed in descriptions and in the OpenAPI document.
package indirect enum FieldType: Sendable {
    /// Text of so many Unicode scalars.
    case text(ClosedRange<Int>, TextRule = .multiline)
    case uuid
    case integer(ClosedRange<Int>)
    case boolean
    case choice([String])
    /// A UUID, or one of these words in its place.
    case idOr([String])
    /// An RFC 3339 time; in a query also a bare date, which is a day in the organisation's zone.
    case time
    case email
    /// Brought into the form `+` and 7…15 digits.
    case phone
    /// An `http` or `https` address.
    case url
    /// An IANA time zone that this system knows.
    case timeZone
    case list(FieldType, ClosedRange<Int> = 0...1000)
    case object([Field])
    /// Any JSON value, taken as it is.
    case json
}

/// What a text may hold.
package enum TextRule: Sendable {
    /// One line or many, and not blank.
    case name
    /// Any characters but controls other than line feed and tab.
    case multiline
    /// Anything: passwords, tokens, signatures.
    case opaque
}

/// One member of a body, one parameter of a query or path.
package struct Field: Sendable {
    package enum Presence: Sendable {
        case required
        /// Absent and `null` mean the same.
        case optional
        /// For PUT and PATCH: absent leaves it unchanged; `null` clears it where that is allowed, and is a fault otherwise.
        case patch(clearable: Bool)
    }

    package let name: String
    package let type: FieldType
    package let presence: Presence
    package let doc: String
    package let example: JSON?

    package static func required(
        _ name: String,
        _ type: FieldType,
        doc: String = "",
        example: JSON? = nil
    ) -> Field {
        Field(name: name, type: type, presence: .required, doc: doc, example: example ?? type.example)
    }

    package static func optional(
        _ name: String,
        _ type: FieldType,
        doc: String = "",
        example: JSON? = nil
    ) -> Field {
        Field(name: name, type: type, presence: .optional, doc: doc, example: example ?? type.example)
    }

    package static func patch(
        _ name: String,
        _ type: FieldType,
        clearable: Bool = false,
        doc: String = "",
        example: JSON? = nil
    ) -> Field {
        Field(
            name: name,
            type: type,
            presence: .patch(clearable: clearable),
            doc: doc,
            example: example ?? type.example
        )
    }
}

extension FieldType {
    /// An example where the type alone tells one; free text tells none.
    package var example: JSON? {
        switch self {
        case .uuid: "01936f5e-7a00-7000-8000-000000000001"
        case .integer(let range): .number(String(range.lowerBound))
        case .boolean: true
        case .choice(let words), .idOr(let words): words.first.map { .string($0) }
        case .time: "2026-11-22T14:45:00.000Z"
        case .email: "jane@example.com"
        case .phone: "+14155550123"
        case .url: "https://example.com/a.png"
        case .timeZone: "Europe/Berlin"
        case .list(let element, _): element.example.map { .array([$0]) }
        case .object(let fields):
            .object(fields.compactMap { field in field.example.map { JSON.Member(field.name, $0) } })
        case .text, .json: nil
        }
    }
}

extension FieldType {
    /// Whether a parameter of the query that is there without a value is a fault: a form leaves its filters empty, but nobody
    /// asks for no page, and where a word stands for nobody, nothing doesn't.
    var meansSomethingEmpty: Bool {
        switch self {
        case .integer, .text(_, .opaque), .idOr: true
        default: false
        }
    }
}
