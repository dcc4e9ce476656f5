import Foundation
package import JSON

/// Decodes a checked JSON value into a declared input.
///
/// The values were checked before, so an error here means that a function's `Input` and its shape disagree, which
/// `runner check` finds by decoding every example.
struct ShapeDecoder: Decoder {
    let value: JSON
    var codingPath: [any CodingKey] = []
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    static func decode<Value: Decodable>(_ type: Value.Type, from value: JSON) throws -> Value {
        try ShapeDecoder(value: value).decode(type)
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = value else { throw mismatch("an object") }
        return KeyedDecodingContainer(Keyed(members: members, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let elements) = value else { throw mismatch("an array") }
        return Unkeyed(elements: elements, codingPath: codingPath)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        Single(decoder: self)
    }

    fileprivate func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let decoded: Any? =
            switch type {
            case is JSON.Type: value
            case is String.Type: value.string
            case is Int.Type: value.integer
            case is Bool.Type: if case .bool(let flag) = value { flag } else { nil }
            case is Double.Type: if case .number(let text) = value { Double(text) } else { nil }
            case is Date.Type: value.string.flatMap(RFC3339.parse)
            case is UUID.Type: value.string.flatMap { UUID(uuidString: $0) }
            default: try Value(from: self)
            }
        guard let decoded = decoded as? Value else { throw mismatch("\(type)") }
        return decoded
    }

    fileprivate func mismatch(_ expected: String) -> DecodingError {
        .dataCorrupted(
            .init(
                codingPath: codingPath,
                debugDescription: "the shape declares \(value.kind) where Input has \(expected)"
            )
        )
    }
}

extension JSON: Decodable {
    package init(from decoder: any Decoder) throws {
        guard let decoder = decoder as? ShapeDecoder else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "needs a shape"))
        }
        self = decoder.value
    }
}

private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: [JSON.Member]
    let codingPath: [any CodingKey]
    var allKeys: [Key] { members.compactMap { Key(stringValue: $0.name) } }

    func contains(_ key: Key) -> Bool { members.contains { $0.name == key.stringValue } }

    func decodeNil(forKey key: Key) throws -> Bool { find(key).map { $0 == .null } ?? true }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        guard let value = find(key) else {
            if let absent = (type as? any AbsentDecodable.Type)?.absent as? Value { return absent }
            throw DecodingError.keyNotFound(key, .init(codingPath: codingPath, debugDescription: "is not in the shape"))
        }
        return try ShapeDecoder(value: value, codingPath: codingPath + [key]).decode(type)
    }

    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        guard let value = find(key), value != .null else { return nil }
        return try ShapeDecoder(value: value, codingPath: codingPath + [key]).decode(type)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type,
        forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try ShapeDecoder(value: find(key) ?? .null, codingPath: codingPath + [key]).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try ShapeDecoder(value: find(key) ?? .null, codingPath: codingPath + [key]).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { ShapeDecoder(value: .object(members), codingPath: codingPath) }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        ShapeDecoder(value: find(key) ?? .null, codingPath: codingPath + [key])
    }

    private func find(_ key: Key) -> JSON? {
        members.first { $0.name == key.stringValue }?.value
    }
}

private struct Unkeyed: UnkeyedDecodingContainer {
    let elements: [JSON]
    let codingPath: [any CodingKey]
    var currentIndex = 0
    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex == elements.count }

    init(elements: [JSON], codingPath: [any CodingKey]) {
        self.elements = elements
        self.codingPath = codingPath
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, elements[currentIndex] == .null else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try next().decode(type)
    }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested>
    {
        try next().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try next().unkeyedContainer()
    }

    mutating func superDecoder() throws -> any Decoder { try next() }

    private mutating func next() throws -> ShapeDecoder {
        guard !isAtEnd else {
            throw DecodingError.valueNotFound(
                JSON.self,
                .init(codingPath: codingPath, debugDescription: "has no more elements")
            )
        }
        defer { currentIndex += 1 }
        return ShapeDecoder(value: elements[currentIndex], codingPath: codingPath)
    }
}

private struct Single: SingleValueDecodingContainer {
    let decoder: ShapeDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }

    func decodeNil() -> Bool { decoder.value == .null }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try decoder.decode(type) }
}
