import Functions
import Manifest

/// One HTTP function as an OpenAPI operation.
struct Operation {
    private let function: FunctionDeclaration
    private let trigger: HTTPTrigger
    private let endpoint: HostedEndpoint

    init(_ function: FunctionDeclaration, _ trigger: HTTPTrigger, _ endpoint: HostedEndpoint) {
        self.function = function
        self.trigger = trigger
        self.endpoint = endpoint
    }

    func json(_ components: inout Components) -> JSON {
        var members: [JSON.Member] = [
            .init("operationId", .string(identifier)),
            .init("summary", .string(summary)),
            .init("description", .string(description)),
            .init("tags", [.string(String(function.handlerFolder))]),
            .init("x-function", .string(function.name)),
        ]
        if function.access == .public { members.append(.init("security", [])) }
        members.append(.init("parameters", .array(parameters)))
        if let body { members.append(.init("requestBody", body)) }
        members.append(.init("responses", .object(success(&components) + failures)))
        return .object(members)
    }

    /// `assignTicket` for `assign-ticket`.
    private var identifier: String {
        let type = function.handlerType
        return type.prefix(1).lowercased() + type.dropFirst()
    }

    /// The `doc` in functions.yaml, or the name's words.
    private var summary: String {
        if let doc = function.doc { return doc.prefix(1).uppercased() + doc.dropFirst() }
        let words = function.name.replacing("-", with: " ")
        return words.prefix(1).uppercased() + words.dropFirst()
    }

    private var description: String {
        switch function.access {
        case .public: "Needs no token."
        case .member: "For admins and agents."
        case .admin: "For admins only."
        }
    }

    /// Whether an Idempotency-Key means anything to it.
    private var isIdempotent: Bool {
        trigger.method == .post && function.access != .public && !trigger.path.description.hasPrefix("/auth/")
    }

    private var parameters: [JSON] {
        var parameters = trigger.path.parameters.map { name -> JSON in
            let field = endpoint.input.path.first { $0.name == name } ?? .required(name, .uuid, doc: "the token's")
            return parameter(field, in: "path", isRequired: true)
        }
        parameters += endpoint.input.query.map { field in
            let isRequired = if case .required = field.presence { true } else { false }
            return parameter(field, in: "query", isRequired: isRequired)
        }
        if case .events = endpoint.output {
            parameters.append(["$ref": "#/components/parameters/AccessToken"])
            parameters.append(["$ref": "#/components/parameters/LastEventId"])
        }
        if case .file = endpoint.output {
            parameters += ["Range", "IfRange", "IfNoneMatch"].map { ["$ref": .string("#/components/parameters/\($0)")] }
        }
        if isIdempotent { parameters.append(["$ref": "#/components/parameters/IdempotencyKey"]) }
        parameters.append(["$ref": "#/components/parameters/RequestId"])
        return parameters
    }

    private func parameter(_ field: Field, in place: String, isRequired: Bool) -> JSON {
        var members: [JSON.Member] = [
            .init("name", .string(field.name)), .init("in", .string(place)), .init("required", .bool(isRequired)),
        ]
        if !field.doc.isEmpty { members.append(.init("description", .string(field.doc))) }
        if case .list = field.type, place == "query" {
            members += [.init("style", "form"), .init("explode", false)]
        }
        let schema = place == "query" ? JSONSchema.query(field.type) : JSONSchema.path(field.type)
        members.append(.init("schema", schema))
        if let example = field.example, example != .null, field.name != "cursor" {
            members.append(.init("example", example))
        }
        return .object(members)
    }

    private var body: JSON? {
        let limits = ([("", function.bodyLimits.standard)] + function.bodyLimits.byType.sorted { $0.key < $1.key })
            .map { type, limit in "At most \(SizeText.text(limit))\(type.isEmpty ? "" : " of \(type)")." }
            .joined(separator: " ")
        switch endpoint.input.body {
        case .none: return nil
        case .raw:
            return [
                "description": .string("Taken byte for byte. " + limits), "required": false,
                "content": ["application/json": ["schema": [:]]],
            ]
        case .json(let fields, let needed):
            var media: [JSON.Member] = [.init("schema", JSONSchema.object(fields))]
            if let example = endpoint.input.bodyExample { media.append(.init("example", example)) }
            let streams = endpoint.input.streams.map { JSON.Member($0, ["schema": ["type": "string"]]) }
            return [
                "description": .string(limits), "required": .bool(needed),
                "content": .object([.init("application/json", .object(media))] + streams),
            ]
        }
    }

    private func success(_ components: inout Components) -> [JSON.Member] {
        var headers: [JSON.Member] = [.init("X-Request-Id", ["$ref": "#/components/headers/RequestId"])]
        if isIdempotent {
            headers.append(.init("Idempotency-Replayed", ["$ref": "#/components/headers/IdempotencyReplayed"]))
        }
        func answer(_ status: Int, _ types: [String], _ schema: JSON?, and more: [String] = []) -> JSON.Member {
            let more = more.map { name in
                JSON.Member(name, ["$ref": .string("#/components/headers/\(name.replacing("-", with: ""))")])
            }
            var members: [JSON.Member] = [
                .init("description", .string(Self.phrase(status))), .init("headers", .object(headers + more)),
            ]
            if !types.isEmpty, let schema {
                members.append(.init("content", .object(types.map { JSON.Member($0, ["schema": schema]) })))
            }
            return JSON.Member(String(status), .object(members))
        }
        func answer(_ status: Int, _ type: String?, _ schema: JSON?) -> JSON.Member {
            answer(status, type.map { [$0] } ?? [], schema)
        }
        switch endpoint.output {
        case .none: return [answer(204, nil, nil)]
        case .object(let record, let status):
            return [answer(status, "application/json", components.reference(record))]
        case .page(let record): return [answer(200, "application/json", components.reference(toPageOf: record))]
        case .events(let record):
            // OpenAPI 3.1 knows no events: the type is all, and their data is among the components.
            _ = components.reference(record)
            let schema: JSON = [
                "type": "string",
                "description": .string(
                    "events whose data is \(Components.reference(to: record.name)["$ref"]?.string ?? "")"
                ),
            ]
            return [answer(200, "text/event-stream", schema)]
        case .file(let types):
            let bytes: JSON = ["type": "string", "format": "binary"]
            return [
                answer(200, types, bytes, and: ["ETag", "Accept-Ranges"]),
                answer(206, types, bytes, and: ["ETag", "Accept-Ranges", "Content-Range"]),
                answer(302, nil, nil), answer(304, [], nil, and: ["ETag"]),
            ]
        case .other(let type, let status):
            // What isn't JSON is text or bytes; of JSON nothing is known, which `runner openapi --check` refuses.
            return [answer(status, type, type == "application/json" ? [:] : ["type": "string"])]
        }
    }

    private static func phrase(_ status: Int) -> String {
        switch status {
        case 201: "It is made."
        case 202: "It has begun."
        case 204: "It is done; there is nothing to tell."
        case 206: "The part that was asked for."
        case 302: "It lies elsewhere."
        case 304: "It is what the caller has."
        default: "It is done."
        }
    }

    /// The problems that the host and functions of this kind answer with.
    private var failures: [JSON.Member] {
        var statuses: Set = [503]
        switch endpoint.input.body {
        case .none: break
        case .raw: statuses.formUnion([400, 413])
        case .json: statuses.formUnion([400, 413, 415, 422])
        }
        // A provider's question, which lacks what is to be answered.
        if function.access == .public, trigger.method == .get, !trigger.path.parameters.isEmpty { statuses.insert(400) }
        if !endpoint.input.query.isEmpty || isIdempotent { statuses.insert(422) }
        if !trigger.path.parameters.isEmpty { statuses.insert(404) }
        if trigger.method != .get { statuses.insert(409) }
        if case .file = endpoint.output { statuses.formUnion([409, 416]) }
        // Those that count wrong guesses.
        if function.access == .public || function.uses.contains(where: { $0.hasPrefix("LOGIN_LIMIT_") }) {
            statuses.insert(429)
        }
        if function.access != .public || !trigger.path.parameters.isEmpty { statuses.insert(403) }
        statuses.insert(401)
        return statuses.sorted().map { JSON.Member(String($0), Problem.reference($0)) }
    }
}
