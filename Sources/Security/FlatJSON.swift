/// Reads a JSON object (RFC 8259) whose members are strings, numbers and literals, as the parts of a token are.
///
/// Strict where leniency would let two readers see two things: UTF-8 only, no member twice, no escapes in names, nothing
/// after the object. Nested values are refused, since nothing we issue has any.
enum FlatJSON {
    enum Value: Equatable {
        case string(String)
        /// A whole number, or the whole part of a decimal one; RFC 7519 allows fractions of seconds.
        case number(Int)
        /// `true`, `false` or `null`.
        case literal
        /// A string with escapes, which no claim of ours needs.
        case escaped
    }

    static func members(of json: [UInt8]) -> [String: Value]? {
        var reader = Reader(json: json)
        return reader.object()
    }

    private struct Reader {
        let json: [UInt8]
        var index = 0

        init(json: [UInt8]) {
            self.json = json
        }

        mutating func object() -> [String: Value]? {
            guard take("{") else { return nil }
            var members: [String: Value] = [:]
            members.reserveCapacity(8)
            if !take("}") {
                repeat {
                    skipSpace()
                    guard
                        case .string(let name) = string(), take(":"),
                        let value = value(), members.updateValue(value, forKey: name) == nil
                    else { return nil }
                } while take(",")
                guard take("}") else { return nil }
            }
            skipSpace()
            return index == json.count ? members : nil
        }

        private mutating func value() -> Value? {
            skipSpace()
            guard index < json.count else { return nil }
            switch json[index] {
            case UInt8(ascii: "\""): return string()
            case UInt8(ascii: "t"): return literal("true")
            case UInt8(ascii: "f"): return literal("false")
            case UInt8(ascii: "n"): return literal("null")
            default: return number()
            }
        }

        private mutating func literal(_ text: StaticString) -> Value? {
            let matches = text.withUTF8Buffer { json[index...].starts(with: $0) }
            guard matches else { return nil }
            index += text.utf8CodeUnitCount
            return .literal
        }

        private mutating func number() -> Value? {
            let isNegative = json[index] == UInt8(ascii: "-")
            if isNegative { index += 1 }
            let start = index
            guard let value = digits(), json[start] != UInt8(ascii: "0") || index == start + 1 else { return nil }
            if index < json.count, json[index] == UInt8(ascii: ".") {
                index += 1
                while index < json.count, isDigit(json[index]) { index += 1 }
                guard json[index - 1] != UInt8(ascii: ".") else { return nil }
            }
            return .number(isNegative ? -value : value)
        }

        private mutating func digits() -> Int? {
            let start = index
            var value = 0
            while index < json.count, isDigit(json[index]) {
                guard index - start < 15 else { return nil }
                value = value * 10 + Int(json[index] - UInt8(ascii: "0"))
                index += 1
            }
            return index == start ? nil : value
        }

        private func isDigit(_ character: UInt8) -> Bool {
            character >= UInt8(ascii: "0") && character <= UInt8(ascii: "9")
        }

        private mutating func string() -> Value? {
            guard index < json.count, json[index] == UInt8(ascii: "\"") else { return nil }
            index += 1
            let start = index
            var hasEscapes = false
            while index < json.count {
                switch json[index] {
                case UInt8(ascii: "\""):
                    defer { index += 1 }
                    guard !hasEscapes else { return .escaped }
                    return String(validating: json[start..<index], as: UTF8.self).map(Value.string)
                case UInt8(ascii: "\\"):
                    hasEscapes = true
                    index += 2
                case ..<0x20:
                    return nil
                default:
                    index += 1
                }
            }
            return nil
        }

        private mutating func take(_ character: Unicode.Scalar) -> Bool {
            skipSpace()
            guard index < json.count, json[index] == UInt8(ascii: character) else { return false }
            index += 1
            return true
        }

        private mutating func skipSpace() {
            while index < json.count {
                switch json[index] {
                case 0x20, 0x09, 0x0a, 0x0d: index += 1
                default: return
                }
            }
        }
    }
}
