/// Reads a JSON object (RFC 8259) whose members are strings, numbers and literals, as the parts of a token are.
///
/// Strict where leniency would let two readers see two things: UTF-8 only, no member twice, no escapes in names, nothing
/// after the object. Nested values are refused, since nothing we issue has any. Nothing is copied: members are places in
/// the text, because a dictionary of strings took longer than the signature.
struct FlatJSON {
    enum Value {
        case string(Range<Int>)
        /// A whole number, or the whole part of a decimal one; RFC 7519 allows fractions of seconds.
        case number(Int)
        /// `true`, `false` or `null`.
        case literal
        /// A string with escapes, which no claim of ours needs.
        case escaped
    }

    private let json: [UInt8]
    private let members: [(name: Range<Int>, value: Value)]

    /// Nobody's token says more than this.
    private static let mostMembers = 32

    init?(_ json: [UInt8]) {
        guard String(validating: json, as: UTF8.self) != nil else { return nil }
        let members = json.withUnsafeBufferPointer { json in
            var reader = Reader(json: json)
            return reader.object()
        }
        guard let members, members.count <= Self.mostMembers else { return nil }
        for (index, member) in members.enumerated() {
            for other in members[..<index] where json[other.name].elementsEqual(json[member.name]) { return nil }
        }
        self.json = json
        self.members = members
    }

    /// The value of a member; `nil` when there is no such member.
    subscript(name: StaticString) -> Value? {
        name.withUTF8Buffer { name in
            members.first { $0.name.count == name.count && json[$0.name].elementsEqual(name) }?.value
        }
    }

    /// The bytes of a member that is a string without escapes.
    func string(_ name: StaticString) -> ArraySlice<UInt8>? {
        guard case .string(let range) = self[name] else { return nil }
        return json[range]
    }

    func number(_ name: StaticString) -> Int? {
        guard case .number(let number) = self[name] else { return nil }
        return number
    }

    private struct Reader {
        let json: UnsafeBufferPointer<UInt8>
        var index = 0

        init(json: UnsafeBufferPointer<UInt8>) {
            self.json = json
        }

        mutating func object() -> [(name: Range<Int>, value: Value)]? {
            guard take(UInt8(ascii: "{")) else { return nil }
            var members: [(name: Range<Int>, value: Value)] = []
            members.reserveCapacity(8)
            if !take(UInt8(ascii: "}")) {
                repeat {
                    skipSpace()
                    guard case .string(let name) = string(), take(UInt8(ascii: ":")), let value = value() else {
                        return nil
                    }
                    members.append((name, value))
                } while take(UInt8(ascii: ","))
                guard take(UInt8(ascii: "}")) else { return nil }
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
            guard text.withUTF8Buffer({ json[index...].starts(with: $0) }) else { return nil }
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
            guard take(UInt8(ascii: "\"")) else { return nil }
            let start = index
            var hasEscapes = false
            while index < json.count {
                switch json[index] {
                case UInt8(ascii: "\""):
                    index += 1
                    return hasEscapes ? .escaped : .string(start..<(index - 1))
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

        private mutating func take(_ character: UInt8) -> Bool {
            skipSpace()
            guard index < json.count, json[index] == character else { return false }
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
