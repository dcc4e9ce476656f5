import Functions

/// Declared shapes in JSON Schema 2020-12, as OpenAPI 3.1 has it.
enum JSONSchema {
    // What is taken

    /// The schema of a body's object; members that aren't declared are refused, so the schema refuses them too.
    static func object(_ fields: [Field]) -> JSON {
        let required = fields.filter { if case .required = $0.presence { true } else { false } }.map(\.name)
        var members: [JSON.Member] = [
            .init("type", "object"),
            .init("properties", .object(fields.map { .init($0.name, member($0)) })),
        ]
        if !required.isEmpty { members.append(.init("required", .array(required.map(JSON.string)))) }
        members.append(.init("additionalProperties", false))
        return .object(members)
    }

    /// A member of a body: absent and `null` are the same, but where a change tells them apart.
    private static func member(_ field: Field) -> JSON {
        var schema = body(field.type, example: field.example)
        switch field.presence {
        case .required, .patch(clearable: false): break
        case .optional, .patch(clearable: true): schema = nullable(schema)
        }
        return described(schema, field.doc, example: field.example)
    }

    /// A value in JSON.
    static func body(_ type: FieldType, example: JSON? = nil) -> JSON {
        switch type {
        case .text(let length, let rule): text(length, rule)
        case .integer(let range): integer(range)
        case .boolean: ["type": "boolean"]
        case .choice(let words): choice(words)
        case .time: ["type": "string", "format": "date-time"]
        case .idOr(let words): ["anyOf": [word(.uuid), choice(words)]]
        case .list(let element, let count):
            [
                "type": "array", "items": body(element), "minItems": .count(count.lowerBound),
                "maxItems": .count(count.upperBound),
            ]
        case .object(let fields): object(fields)
        case .json:
            // Its example is all there is to tell an object from anything.
            if case .object? = example { ["type": "object"] } else { [:] }
        case .uuid, .email, .phone, .url, .timeZone: word(type)
        }
    }

    /// A value in a path, where numbers are spelled out.
    static func path(_ type: FieldType) -> JSON { body(type) }

    /// A value in a query, where a list has commas and an empty text is the same as none.
    static func query(_ type: FieldType) -> JSON {
        switch type {
        case .time:
            [
                "anyOf": [
                    ["type": "string", "format": "date-time"], ["type": "string", "format": "date"],
                    ["type": "string", "maxLength": 0],
                ]
            ]
        case .list(let element, _): ["type": "array", "items": query(element)]
        case .text(let length, let rule): text(0...length.upperBound, rule == .name ? .multiline : rule)
        case .uuid, .email, .phone, .url, .timeZone: ["anyOf": [word(type), ["type": "string", "maxLength": 0]]]
        case .integer, .boolean, .choice, .idOr, .object, .json: body(type)
        }
    }

    private static func choice(_ words: [String]) -> JSON {
        ["type": "string", "enum": .array(words.map(JSON.string))]
    }

    private static func integer(_ range: ClosedRange<Int>) -> JSON {
        var members: [JSON.Member] = [.init("type", "integer")]
        if range.lowerBound != .min { members.append(.init("minimum", .count(range.lowerBound))) }
        if range.upperBound != .max { members.append(.init("maximum", .count(range.upperBound))) }
        return .object(members)
    }

    private static func text(_ length: ClosedRange<Int>, _ rule: TextRule) -> JSON {
        let pattern =
            switch rule {
            // Not blank, and no controls but line feed and tab.
            case .name: "^\(printable)*[^\\s\(controls)]\(printable)*$"
            case .multiline: "^\(printable)*$"
            case .opaque: "^[^\\u0000]*$"
            }
        return [
            "type": "string", "minLength": .count(length.lowerBound), "maxLength": .count(length.upperBound),
            "pattern": .string(pattern),
        ]
    }

    private static let controls = #"\u0000-\u0008\u000b-\u001f\u007f-\u009f"#
    private static let printable = "[^\(controls)]"

    /// Texts of a form of their own.
    private static func word(_ type: FieldType) -> JSON {
        switch type {
        case .uuid: ["type": "string", "format": "uuid"]
        case .email: ["type": "string", "format": "email", "maxLength": 254]
        case .phone:
            [
                "type": "string", "maxLength": 40,
                "pattern": #"^[ .()\[\]-]*(\+|0[ .()\[\]-]*0)([ .()\[\]-]*[0-9]){7,15}[ .()\[\]-]*$"#,
            ]
        case .url:
            ["type": "string", "format": "uri", "maxLength": 2048, "pattern": #"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#]+"#]
        case .timeZone: ["type": "string", "pattern": #"^(UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+)+)$"#]
        default: ["type": "string"]
        }
    }

    // What is answered

    /// The schema of an object that is answered: every member is there that isn't optional, and `null` where it says so.
    static func object(_ columns: [Record.Column], _ components: (Record) -> JSON) -> JSON {
        [
            "type": "object",
            "properties": .object(columns.map { .init($0.name, member($0, components)) }),
            "required": .array(columns.filter { !$0.isOptional }.map { .string($0.name) }),
        ]
    }

    private static func member(_ column: Record.Column, _ components: (Record) -> JSON) -> JSON {
        let schema = value(column, components)
        return described(column.isNullable ? nullable(schema) : schema, column.doc)
    }

    private static func value(_ column: Record.Column, _ components: (Record) -> JSON) -> JSON {
        switch column.kind {
        case .text: ["type": "string"]
        case .uuid: ["type": "string", "format": "uuid"]
        case .integer: ["type": "integer"]
        case .number: ["type": "number"]
        case .boolean: ["type": "boolean"]
        case .time: ["type": "string", "format": "date-time"]
        case .choice(let words): choice(words)
        case .texts: ["type": "array", "items": ["type": "string"]]
        case .object(let columns): object(columns, components)
        case .list(let record): ["type": "array", "items": components(record)]
        case .json:
            switch column.content {
            case .any: [:]
            case .map: ["type": "object", "additionalProperties": true]
            case .object(let columns): object(columns, components)
            case .objects(let columns): ["type": "array", "items": object(columns, components)]
            case .values: ["type": "array", "items": [:]]
            }
        }
    }

    // Both

    /// The schema, or `null`.
    static func nullable(_ schema: JSON) -> JSON {
        guard let members = schema.members, let type = schema["type"], case .string = type else {
            return schema.members?.isEmpty == true ? schema : ["anyOf": [schema, ["type": "null"]]]
        }
        return .object(
            members.map { member in
                switch member.name {
                case "type": JSON.Member("type", [type, "null"])
                case "enum": JSON.Member("enum", .array((member.value.array ?? []) + [.null]))
                default: member
                }
            }
        )
    }

    private static func described(_ schema: JSON, _ doc: String, example: JSON? = nil) -> JSON {
        var members = schema.members ?? []
        if !doc.isEmpty { members.append(.init("description", .string(doc))) }
        if let example, example != .null { members.append(.init("examples", [example])) }
        return .object(members)
    }
}

extension JSON {
    static func count(_ value: Int) -> JSON { .number(String(value)) }
}
