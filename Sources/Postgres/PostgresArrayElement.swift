#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// A value that can stand in an array. One dimension only; the defaults suit every type but bytes.
package protocol PostgresArrayElement: PostgresEncodable, PostgresDecodable {
    /// The elements in PostgreSQL's array form, `{"a","b",NULL}`.
    static func postgresArrayText(_ elements: [Self]) -> String

    /// Reads PostgreSQL's array form; `nil` when it is malformed, has several dimensions or an element of another type.
    static func postgresArray(from text: UnsafeRawBufferPointer) -> [Self]?
}

extension String: PostgresArrayElement {}
extension Int: PostgresArrayElement {}
extension Int16: PostgresArrayElement {}
extension Int32: PostgresArrayElement {}
extension Int64: PostgresArrayElement {}
extension Bool: PostgresArrayElement {}
extension Double: PostgresArrayElement {}
extension UUID: PostgresArrayElement {}
extension Date: PostgresArrayElement {}
extension Optional: PostgresArrayElement where Wrapped: PostgresArrayElement {}
extension Array: PostgresArrayElement where Element == UInt8 {}

extension PostgresArrayElement {
    package static func postgresArrayText(_ elements: [Self]) -> String {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            guard let text = element.postgresText else {
                bytes.append(contentsOf: "NULL".utf8)
                continue
            }
            bytes.append(UInt8(ascii: "\""))
            for byte in text.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "}"))
        return String(decoding: bytes, as: UTF8.self)
    }

    package static func postgresArray(from text: UnsafeRawBufferPointer) -> [Self]? {
        guard var reader = ArrayReader(text) else { return nil }
        var elements: [Self] = []
        while !reader.isAtEnd {
            guard let element: Self = reader.next() else { return nil }
            elements.append(element)
        }
        return elements
    }
}

/// A byte alone is a small integer; bytes together are bytea.
extension UInt8: PostgresArrayElement {
    package static func postgresArrayText(_ elements: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: 2 + 2 * elements.count) { buffer in
            buffer[0] = UInt8(ascii: "\\")
            buffer[1] = UInt8(ascii: "x")
            for (index, byte) in elements.enumerated() {
                buffer[2 + 2 * index] = Hexadecimal.digit(of: byte >> 4)
                buffer[3 + 2 * index] = Hexadecimal.digit(of: byte & 15)
            }
            return 2 + 2 * elements.count
        }
    }

    package static func postgresArray(from text: UnsafeRawBufferPointer) -> [UInt8]? {
        guard text.count >= 2, text.count % 2 == 0, text[0] == UInt8(ascii: "\\"), text[1] == UInt8(ascii: "x")
        else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2 - 1)
        for position in stride(from: 2, to: text.count, by: 2) {
            guard let high = Hexadecimal.value(of: text[position]), let low = Hexadecimal.value(of: text[position + 1])
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }
}

/// Walks through the elements of `{…}`.
private struct ArrayReader {
    private let text: UnsafeRawBufferPointer
    private var position = 1
    private var scratch: [UInt8] = []

    init?(_ text: UnsafeRawBufferPointer) {
        guard text.count >= 2, text[0] == UInt8(ascii: "{"), text[text.count - 1] == UInt8(ascii: "}")
        else { return nil }
        self.text = text
    }

    var isAtEnd: Bool { position >= text.count - 1 }

    mutating func next<Element: PostgresArrayElement>() -> Element? {
        let end = text.count - 1
        scratch.removeAll(keepingCapacity: true)
        let isQuoted = text[position] == UInt8(ascii: "\"")
        if isQuoted { position += 1 }
        var isClosed = !isQuoted
        while position < end {
            let byte = text[position]
            if isQuoted, byte == UInt8(ascii: "\"") {
                isClosed = true
                position += 1
                break
            }
            if !isQuoted, byte == UInt8(ascii: ",") { break }
            if !isQuoted, byte == UInt8(ascii: "{") { return nil }
            if isQuoted, byte == UInt8(ascii: "\\") { position += 1 }
            scratch.append(text[position])
            position += 1
        }
        guard isClosed else { return nil }
        if position < end {
            guard text[position] == UInt8(ascii: ","), position + 1 < end else { return nil }
            position += 1
        }
        if !isQuoted, scratch.elementsEqual("NULL".utf8) { return Element.postgresNull }
        return scratch.withUnsafeBytes { Element(postgresText: $0) }
    }
}
