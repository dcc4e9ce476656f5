package import Functions
import Manifest

/// The OpenAPI 3.1 description of the product, made from functions.yaml and the declared shapes.
///
/// Nothing of it is written by hand but the host's own pages: what a function declares is what it is checked by, so the
/// document can't fall behind.
package struct OpenAPIDocument: Sendable {
    package let json: JSON
    /// Names that two different records have.
    let clashes: Set<String>

    /// - Parameters:
    ///   - pairs: every function of the manifest with its type, whether this process hosts it or not.
    ///   - version: of the product.
    package init(_ pairs: [RegistryCheck.Pair], version: String) {
        // Twice: only when every record has been seen is it known which nested objects are components.
        var components = Components()
        _ = Self.operations(pairs, &components)
        components = Components(knowing: components)
        let (operations, tags) = Self.operations(pairs, &components)
        let pages = OwnPages.paths(&components)
        json = [
            "openapi": "3.1.0",
            "info": [
                "title": "DelightChat", "version": .string(version),
                "description": .string(Self.introduction),
                "license": ["name": "MIT", "identifier": "MIT"],
            ],
            "servers": [["url": "/"]],
            "security": [["bearer": []]],
            "tags": .array((tags + [OwnPages.tag]).map { ["name": .string($0)] }),
            "paths": .object(operations + pages),
            "components": components.json,
        ]
        clashes = components.clashes
    }

    /// The functions' paths and the features that they belong to, both in the manifest's order.
    private static func operations(
        _ pairs: [RegistryCheck.Pair],
        _ components: inout Components
    ) -> (paths: [JSON.Member], tags: [String]) {
        var paths: [(path: String, operations: [JSON.Member])] = []
        var tags: [String] = []
        for pair in pairs {
            guard case .http(let endpoint) = pair.hosted, case .http(let trigger) = pair.declaration.trigger else {
                continue
            }
            let tag = String(pair.declaration.handlerFolder)
            if !tags.contains(tag) { tags.append(tag) }
            let operation = Operation(pair.declaration, trigger, endpoint).json(&components)
            let member = JSON.Member(trigger.method.rawValue.lowercased(), operation)
            if let index = paths.firstIndex(where: { $0.path == trigger.path.template }) {
                paths[index].operations.append(member)
            } else {
                paths.append((trigger.path.template, [member]))
            }
        }
        return (paths.map { JSON.Member($0.path, .object($0.operations)) }, tags)
    }

    private static let introduction = """
        Ids are UUIDs, times RFC 3339 in UTC with milliseconds. Lists are pages: ask for the next one with `cursor` and the \
        `nextCursor` of the one before, until it is null. Faults are problem documents (RFC 9457); a 422 names every fault of \
        the input at once. A POST with an `Idempotency-Key` happens once, however often it is sent. Unknown members of a body \
        are refused, unknown parameters of a query ignored.
        """
}

/// The parts that operations refer to, collected on the way.
struct Components {
    private var schemas: [JSON.Member] = []
    /// Names of object schemas by their text: an object that is nested elsewhere refers to the same component.
    private var known: [String: String] = [:]
    /// Names that two different records have.
    private(set) var clashes: Set<String> = []

    init() {}

    /// Nothing yet, but for what the others found out.
    init(knowing others: Components) {
        known = others.known
    }

    /// A reference to the record's schema, which is added when it is new.
    mutating func reference(_ record: Record) -> JSON {
        if let present = schemas.first(where: { $0.name == record.name }) {
            if present.value.text != schema(record.columns).text { clashes.insert(record.name) }
        } else {
            // Taken before its members are looked at, so that its place in the document is before theirs.
            let place = schemas.count
            schemas.append(.init(record.name, .null))
            let schema = schema(record.columns)
            schemas[place] = .init(record.name, schema)
            known[schema.text] = record.name
        }
        return Self.reference(to: record.name)
    }

    /// A reference to `{data, nextCursor}` of such records.
    mutating func reference(toPageOf record: Record) -> JSON {
        let name = record.name + "Page"
        let element = reference(record)
        if !schemas.contains(where: { $0.name == name }) {
            schemas.append(
                .init(
                    name,
                    [
                        "type": "object",
                        "properties": [
                            "data": ["type": "array", "items": element],
                            "nextCursor": [
                                "type": ["string", "null"], "description": "for the next page; null on the last one",
                            ],
                        ],
                        "required": ["data", "nextCursor"],
                    ]
                )
            )
        }
        return Self.reference(to: name)
    }

    private mutating func schema(_ columns: [Record.Column]) -> JSON {
        var nested: [Record] = []
        let collect: (Record) -> JSON = { record in
            nested.append(record)
            return Self.reference(to: record.name)
        }
        let schema = JSONSchema.object(columns, collect)
        for record in nested { _ = reference(record) }
        return shared(schema)
    }

    /// The schema with those objects in it replaced that are components already.
    private func shared(_ schema: JSON) -> JSON {
        guard let members = schema["properties"]?.members else { return schema }
        let properties = members.map { member in
            known[member.value.text].map { JSON.Member(member.name, Self.reference(to: $0)) } ?? member
        }
        return .object(
            (schema.members ?? []).map { $0.name == "properties" ? .init("properties", .object(properties)) : $0 }
        )
    }

    static func reference(to schema: String) -> JSON { ["$ref": .string("#/components/schemas/\(schema)")] }

    var json: JSON {
        [
            "schemas": .object(schemas + [.init("Problem", Problem.schema)]),
            "responses": .object(Problem.described.map { .init($0.name, Problem.response($0.status, $0.doc)) }),
            "parameters": [
                "AccessToken": [
                    "name": "access_token", "in": "query", "required": false,
                    "description": "the access token, for browsers' EventSource, which sends no header",
                    "schema": ["type": "string"],
                ],
                "LastEventId": [
                    "name": "Last-Event-ID", "in": "header", "required": false,
                    "description": "the `id` of the last event that arrived: what came after it follows",
                    "schema": ["type": "string"],
                ],
                "Range": [
                    "name": "Range", "in": "header", "required": false,
                    "description": "one part of the file: `bytes=0-499`, `bytes=500-` or the last `bytes=-500`",
                    "schema": ["type": "string"],
                ],
                "IfRange": [
                    "name": "If-Range", "in": "header", "required": false,
                    "description": "the `ETag` of the file that a part is wanted of; of another one all is sent",
                    "schema": ["type": "string"],
                ],
                "IfNoneMatch": [
                    "name": "If-None-Match", "in": "header", "required": false,
                    "description": "the `ETag` of the file that the caller has",
                    "schema": ["type": "string"],
                ],
                "IdempotencyKey": [
                    "name": "Idempotency-Key", "in": "header", "required": false,
                    "description": "for 24 hours the same key, path and body get the first answer again",
                    "schema": [
                        "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$",
                    ],
                    "example": "5f1a7c52-3a0e-4a58-9f0e-0a5f8f6f2f11",
                ],
                "RequestId": [
                    "name": "X-Request-Id", "in": "header", "required": false,
                    "description": "taken if it is 1 to 128 of A-Z a-z 0-9 . _ -, else one is made",
                    "schema": ["type": "string"],
                    "example": "checkout-4711",
                ],
            ],
            "headers": [
                "RequestId": ["description": "the request's id", "schema": ["type": "string"], "required": true],
                "IdempotencyReplayed": [
                    "description": "`true` on an answer that was given before", "schema": ["type": "string"],
                ],
                "RetryAfter": [
                    "description": "seconds after which to try again", "schema": ["type": "integer", "minimum": 0],
                ],
                "Challenge": ["description": "`Bearer`", "schema": ["type": "string"]],
                "Allow": ["description": "the methods of this path", "schema": ["type": "string"]],
                "ETag": ["description": "of the file's bytes, whatever part is sent", "schema": ["type": "string"]],
                "AcceptRanges": ["description": "`bytes`", "schema": ["type": "string"]],
                "ContentRange": [
                    "description":
                        "`bytes 0-499/1234`: which part of how much; `bytes */1234` where it hasn't that part",
                    "schema": ["type": "string"],
                ],
            ],
            "securitySchemes": [
                "bearer": [
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "the `accessToken` of a log-in",
                ]
            ],
        ]
    }
}

extension Problem {
    /// The statuses of problems with their names among the components.
    static let described: [(status: Int, name: String, doc: String)] = [
        (400, "BadRequest", "The body can't be read."),
        (401, "Unauthorized", "There is no valid token, or what stands in its place is wrong."),
        (403, "Forbidden", "The token is for another organisation, or its role may not do this."),
        (404, "NotFound", "There is nothing of that id here."),
        (405, "MethodNotAllowed", "The path has other methods."),
        (409, "Conflict", "It doesn't fit the present state, or the same Idempotency-Key is at work."),
        (413, "ContentTooLarge", "The body is over the limit."),
        (415, "UnsupportedMediaType", "The body is of another content type."),
        (416, "RangeNotSatisfiable", "The file ends before the range."),
        (422, "UnprocessableContent", "The input is invalid; `errors` has every fault."),
        (429, "TooManyRequests", "Too many, too fast."),
        (503, "ServiceUnavailable", "Something that is needed is away. Come again."),
    ]

    static func reference(_ status: Int) -> JSON {
        let name = described.first { $0.status == status }?.name ?? "ServiceUnavailable"
        return ["$ref": .string("#/components/responses/\(name)")]
    }

    static func response(_ status: Int, _ doc: String) -> JSON {
        var headers: [JSON.Member] = [.init("X-Request-Id", ["$ref": "#/components/headers/RequestId"])]
        func header(_ name: String, _ component: String) {
            headers.append(.init(name, ["$ref": .string("#/components/headers/\(component)")]))
        }
        switch status {
        case 401: header("WWW-Authenticate", "Challenge")
        case 405: header("Allow", "Allow")
        case 416: header("Content-Range", "ContentRange")
        case 429, 503: header("Retry-After", "RetryAfter")
        default: break
        }
        return [
            "description": .string(doc), "headers": .object(headers),
            "content": ["application/problem+json": ["schema": Components.reference(to: "Problem")]],
        ]
    }

    static let schema: JSON = [
        "type": "object",
        "description": "RFC 9457",
        "properties": [
            "type": ["type": "string"], "title": ["type": "string"],
            "status": ["type": "integer", "minimum": 400, "maximum": 599],
            "detail": ["type": "string"],
            "instance": ["type": "string", "description": "the request's path"],
            "requestId": ["type": "string"],
            "errors": [
                "type": "array",
                "description": "of a 422: every fault of the input",
                "items": [
                    "type": "object",
                    "properties": [
                        "pointer": ["type": "string", "description": "a JSON pointer into the body"],
                        "parameter": ["type": "string", "description": "a parameter of the query"],
                        "header": ["type": "string", "description": "a header of the request"],
                        "message": ["type": "string"],
                    ],
                    "required": ["message"],
                ],
            ],
        ],
        "required": ["type", "title", "status", "detail", "instance", "requestId"],
    ]
}
