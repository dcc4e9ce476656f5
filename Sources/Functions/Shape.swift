package import JSON

/// What a function takes, declared once: the decoder, its messages and the published description come from here.
///
/// `Input` is decoded from the checked values by name, so its members and the declared fields must agree; `runner check`
/// decodes the example of every shape.
package struct Shape<Input: Decodable & Sendable>: Sendable {
    package let declaration: InputDeclaration

    /// - Parameters:
    ///   - path: ids and words of the route, but `orgId`, which the host compares with the token.
    ///   - query: parameters; unknown ones are ignored. A list is one parameter with commas.
    ///   - body: what body the function reads.
    ///   - streams: content types, in lower case, that the function reads from ``Request/stream`` in place of the body's fields.
    ///   - example: a body that makes sense as a whole, where the fields' own examples together don't.
    ///   - also: what the fields alone can't tell of a body, reported together with their faults. It gets the object as it
    ///     came, whose members may be of any type.
    package init(
        path: [Field] = [],
        query: [Field] = [],
        body: InputDeclaration.Body = .none,
        streams: [String] = [],
        example: JSON? = nil,
        also: (@Sendable (_ body: JSON, _ check: inout FieldCheck) -> Void)? = nil
    ) {
        declaration = InputDeclaration(
            path: path,
            query: query,
            body: body,
            streams: streams,
            wholeExample: example,
            also: also
        )
    }

    /// The input of one call, or every fault at once, with those that `also` finds in the body.
    package func read(
        path: [String: String],
        query: [(name: String, value: String)],
        body: JSON?,
        isStreamed: Bool = false,
        also: (JSON, inout FieldCheck) throws -> Void = { _, _ in }
    ) throws -> Input {
        let fields = isStreamed ? declaration.withoutBody : declaration
        let value = try fields.check(path: path, query: query, body: body, also: also)
        return try ShapeDecoder.decode(Input.self, from: value)
    }

    /// The input of a job: its `data`, checked against the body's fields.
    package func read(data: JSON) throws -> Input {
        try ShapeDecoder.decode(Input.self, from: declaration.check(path: [:], query: [], body: data))
    }

    /// Decodes the declared examples, which shows that `Input` and the fields agree; `runner check` calls it.
    ///
    /// Whether all members make sense together isn't looked at: an example has those too that exclude each other.
    ///
    /// - Returns: a sentence per fault.
    package func faultsOfExamples() -> [String] {
        let lacking = declaration.allFields.filter { $0.example == nil }.map { "\"\($0.name)\" lacks an example" }
        guard lacking.isEmpty else { return lacking }
        let fields = InputDeclaration(
            path: declaration.path,
            query: declaration.query,
            body: declaration.body,
            streams: [],
            wholeExample: nil,
            also: nil
        )
        func read(query: [(name: String, value: String)], body: JSON?) throws {
            let value = try fields.check(path: declaration.pathExample, query: query, body: body)
            _ = try ShapeDecoder.decode(Input.self, from: value)
        }
        do {
            try read(
                query: declaration.query.compactMap { field in
                    field.example.map { (field.name, InputDeclaration.spelled($0)) }
                },
                body: fields.bodyExample
            )
            if let example = declaration.wholeExample {
                let value = try declaration.check(path: declaration.pathExample, query: [], body: example)
                _ = try ShapeDecoder.decode(Input.self, from: value)
            }
            // Absent members decode differently from given ones: an Input that can't be without one is a fault too.
            if case .json(let fields, _) = declaration.body {
                let required = fields.filter { if case .required = $0.presence { true } else { false } }
                try read(
                    query: [],
                    body: .object(required.compactMap { field in field.example.map { .init(field.name, $0) } })
                )
            }
            return []
        } catch let failure as Failure {
            return failure.faults.map { "the example of \($0.place) \($0.message)" }
        } catch {
            return ["its Input can't be decoded from the example: \(error)"]
        }
    }
}

/// An input's fields without the type they become.
package struct InputDeclaration: Sendable {
    package enum Body: Sendable {
        case none
        /// An object of these members; `needed` is whether an empty body is refused.
        case json([Field], needed: Bool = true)
        /// The bytes as they came, of any content type; the function reads them from the request.
        case raw
    }

    package let path: [Field]
    package let query: [Field]
    package let body: Body
    /// Content types that are read piece by piece in place of the body's fields.
    package let streams: [String]
    let wholeExample: JSON?
    let also: (@Sendable (JSON, inout FieldCheck) -> Void)?

    var withoutBody: InputDeclaration {
        InputDeclaration(path: path, query: query, body: .none, streams: streams, wholeExample: nil, also: nil)
    }

    package var allFields: [Field] {
        if case .json(let fields, _) = body { path + query + fields } else { path + query }
    }

    package var pathExample: [String: String] {
        Dictionary(
            path.compactMap { field in field.example.map { (field.name, Self.spelled($0)) } },
            uniquingKeysWith: { first, _ in first }
        )
    }

    package var bodyExample: JSON? {
        if let wholeExample { return wholeExample }
        guard case .json(let fields, _) = body else { return nil }
        return FieldType.object(fields).example
    }

    /// How a value is written in a path or query.
    package static func spelled(_ value: JSON) -> String {
        switch value {
        case .string(let text): text
        case .array(let elements): elements.map(spelled).joined(separator: ",")
        default: value.text
        }
    }

    func check(
        path: [String: String],
        query: [(name: String, value: String)],
        body: JSON?,
        also more: (JSON, inout FieldCheck) throws -> Void = { _, _ in }
    ) throws -> JSON {
        var members: [JSON.Member] = []
        var pathCheck = FieldCheck { .query($0) }
        for field in self.path {
            guard let text = path[field.name], let value = pathCheck.parameter(text, field.type, at: field.name) else {
                throw Failure.notFound("resource")
            }
            members.append(JSON.Member(field.name, value))
        }
        var bodyCheck = FieldCheck.body
        if case .json(let fields, _) = self.body {
            members += bodyCheck.object(body ?? .object([]), fields)
            also?(body ?? .object([]), &bodyCheck)
            try more(body ?? .object([]), &bodyCheck)
        }
        var queryCheck = FieldCheck { .query($0) }
        for field in self.query {
            guard let text = query.last(where: { $0.name == field.name })?.value,
                !text.isEmpty || field.type.meansSomethingEmpty
            else {
                if case .required = field.presence { queryCheck.report(field.name, "is required") }
                continue
            }
            guard let value = queryCheck.parameter(text, field.type, at: field.name) else { continue }
            members.append(JSON.Member(field.name, value))
        }
        let faults = bodyCheck.faults + queryCheck.faults
        guard faults.isEmpty else { throw Failure.invalid(faults) }
        return .object(members)
    }
}

/// The input of a function that takes nothing.
package struct NoInput: Decodable, Sendable {
    package init() {}
}

extension Shape where Input == NoInput {
    package static var none: Shape { Shape() }
}
