/// Why a body is no JSON, with the byte at which that shows.
package struct JSONSyntaxError: Error, Sendable, Equatable {
    package let message: String
    package let offset: Int
}

extension JSON {
    /// Reads one JSON text (RFC 8259).
    ///
    /// Stricter than most parsers where leniency would store what can't be sent back: invalid UTF-8 and lone
    /// surrogates are refused, nesting is limited so that a hostile body can't exhaust the stack.
    /// Our own because the alternatives lose what the contract needs: the spelling of numbers, the order and the
    /// mere presence of members. Values may be nested so many levels deep.
    package static func parse(_ bytes: some Collection<UInt8>, levels: Int = 64) throws(JSONSyntaxError) -> JSON {
        let result: Result<JSON, JSONSyntaxError>? = bytes.withContiguousStorageIfAvailable { buffer in
            var parser = JSONParser(buffer, levels: levels)
            return Result { () throws(JSONSyntaxError) in try parser.document() }
        }
        if let result { return try result.get() }
        return try parse(Array(bytes), levels: levels)
    }

    package static func parse(_ text: String) throws(JSONSyntaxError) -> JSON {
        try parse(Array(text.utf8))
    }
}

private struct JSONParser {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var at = 0
    private var depth = 0
    private let levels: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, levels: Int) {
        self.bytes = bytes
        self.levels = levels
    }

    mutating func document() throws(JSONSyntaxError) -> JSON {
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { at = 3 }
        skipSpace()
        let value = try value()
        skipSpace()
        guard at == bytes.count else { throw fault("has text after its end") }
        return value
    }

    private func fault(_ message: String) -> JSONSyntaxError {
        JSONSyntaxError(message: message, offset: at)
    }

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 {
            at += 1
        }
    }

    private mutating func value() throws(JSONSyntaxError) -> JSON {
        guard at < bytes.count else { throw fault("ends too early") }
        switch bytes[at] {
        case UInt8(ascii: "{"): return try nested { parser throws(JSONSyntaxError) in try parser.object() }
        case UInt8(ascii: "["): return try nested { parser throws(JSONSyntaxError) in try parser.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func nested(
        _ read: (inout JSONParser) throws(JSONSyntaxError) -> JSON
    ) throws(JSONSyntaxError) -> JSON {
        depth += 1
        guard depth <= levels else { throw fault("is nested deeper than \(levels) levels") }
        let value = try read(&self)
        depth -= 1
        return value
    }

    private mutating func word(_ text: StaticString, _ value: JSON) throws(JSONSyntaxError) -> JSON {
        let length = text.utf8CodeUnitCount
        guard at + length <= bytes.count else { throw fault("ends too early") }
        for index in 0..<length where bytes[at + index] != text.utf8Start[index] {
            throw fault("has an unknown word")
        }
        at += length
        return value
    }

    private mutating func object() throws(JSONSyntaxError) -> JSON {
        var members: [JSON.Member] = []
        at += 1
        skipSpace()
        if at < bytes.count, bytes[at] == UInt8(ascii: "}") {
            at += 1
            return .object(members)
        }
        while true {
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw fault("lacks a member's name") }
            let name = try string()
            skipSpace()
            guard at < bytes.count, bytes[at] == UInt8(ascii: ":") else { throw fault("lacks a colon") }
            at += 1
            skipSpace()
            members.append(JSON.Member(name, try value()))
            skipSpace()
            guard at < bytes.count else { throw fault("ends too early") }
            if bytes[at] == UInt8(ascii: "}") {
                at += 1
                return .object(members)
            }
            guard bytes[at] == UInt8(ascii: ",") else { throw fault("lacks a comma") }
            at += 1
            skipSpace()
        }
    }

    private mutating func array() throws(JSONSyntaxError) -> JSON {
        var elements: [JSON] = []
        at += 1
        skipSpace()
        if at < bytes.count, bytes[at] == UInt8(ascii: "]") {
            at += 1
            return .array(elements)
        }
        while true {
            elements.append(try value())
            skipSpace()
            guard at < bytes.count else { throw fault("ends too early") }
            if bytes[at] == UInt8(ascii: "]") {
                at += 1
                return .array(elements)
            }
            guard bytes[at] == UInt8(ascii: ",") else { throw fault("lacks a comma") }
            at += 1
            skipSpace()
        }
    }

    private mutating func number() throws(JSONSyntaxError) -> JSON {
        let start = at
        func isDigit(_ index: Int) -> Bool { index < bytes.count && (0x30...0x39).contains(bytes[index]) }
        if at < bytes.count, bytes[at] == UInt8(ascii: "-") { at += 1 }
        guard isDigit(at) else {
            at = start
            throw fault("has an unexpected character")
        }
        if bytes[at] == UInt8(ascii: "0") { at += 1 } else { while isDigit(at) { at += 1 } }
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at += 1
            guard isDigit(at) else { throw fault("has a number without digits after its point") }
            while isDigit(at) { at += 1 }
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
            guard isDigit(at) else { throw fault("has a number without an exponent") }
            while isDigit(at) { at += 1 }
        }
        return .number(String(decoding: bytes[start..<at], as: UTF8.self))
    }

    private mutating func string() throws(JSONSyntaxError) -> String {
        at += 1
        let start = at
        while at < bytes.count {
            let byte = bytes[at]
            if byte == UInt8(ascii: "\"") {
                let text = try utf8(bytes[start..<at])
                at += 1
                return text
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            guard byte >= 0x20 else { throw fault("has a raw control character in a string") }
            at += 1
        }
        throw fault("has a string without an end")
    }

    /// The slow way, for a string in which something is escaped.
    private mutating func escapedString(from start: Int) throws(JSONSyntaxError) -> String {
        var unescaped = Array(bytes[start..<at])
        while at < bytes.count {
            let byte = bytes[at]
            switch byte {
            case UInt8(ascii: "\""):
                let text = try utf8(unescaped)
                at += 1
                return text
            case UInt8(ascii: "\\"):
                at += 1
                guard at < bytes.count else { throw fault("has a string without an end") }
                try unescape(into: &unescaped)
            case 0..<0x20:
                throw fault("has a raw control character in a string")
            default:
                unescaped.append(byte)
                at += 1
            }
        }
        throw fault("has a string without an end")
    }

    private mutating func unescape(into text: inout [UInt8]) throws(JSONSyntaxError) {
        let letter = bytes[at]
        at += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            let first = try hexUnit()
            var code = UInt32(first)
            if (0xD800...0xDBFF).contains(first) {
                guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
                    throw fault("has a lone surrogate")
                }
                at += 2
                let second = try hexUnit()
                guard (0xDC00...0xDFFF).contains(second) else { throw fault("has a lone surrogate") }
                code = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("has a lone surrogate") }
            text.append(contentsOf: Character(scalar).utf8)
        default:
            throw fault("has an unknown escape in a string")
        }
    }

    private mutating func hexUnit() throws(JSONSyntaxError) -> UInt16 {
        guard at + 4 <= bytes.count else { throw fault("has a string without an end") }
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(bytes[at])).hexDigitValue else {
                throw fault("has an unknown escape in a string")
            }
            unit = unit << 4 | UInt16(digit)
            at += 1
        }
        return unit
    }

    private func utf8(_ bytes: some Collection<UInt8>) throws(JSONSyntaxError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw fault("is not valid UTF-8") }
        return text
    }
}
