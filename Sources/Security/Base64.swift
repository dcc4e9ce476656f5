/// Base64 as RFC 4648 has it, in both alphabets, decoded strictly.
///
/// Strictly means one text for one value: no white space, no stray bits in the last character, padding exactly where the
/// alphabet wants it. A signature that could be written in two ways would be two different strings for one token.
package enum Base64 {
    case standard
    /// `-` and `_` for `+` and `/`, without padding, as JWT (RFC 7515, section 2) and our tokens have it.
    case url

    private static let standardCharacters = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )
    private static let urlCharacters = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8
    )
    private static let standardValues = values(of: standardCharacters)
    private static let urlValues = values(of: urlCharacters)
    private static let noValue: UInt8 = 0xff

    private static func values(of characters: [UInt8]) -> [UInt8] {
        var values = [UInt8](repeating: noValue, count: 256)
        for (value, character) in characters.enumerated() {
            values[Int(character)] = UInt8(value)
        }
        return values
    }

    /// The text of `bytes` in this alphabet.
    package func encode(_ bytes: [UInt8]) -> String {
        String(decoding: encodeUTF8(bytes), as: UTF8.self)
    }

    /// The text of `bytes` as ASCII bytes, for those who go on building.
    func encodeUTF8(_ bytes: [UInt8]) -> [UInt8] {
        let characters = self == .url ? Self.urlCharacters : Self.standardCharacters
        let padded = (bytes.count + 2) / 3 * 4
        return [UInt8](unsafeUninitializedCapacity: padded) { text, count in
            func add(_ value: UInt32) {
                text.initializeElement(at: count, to: characters[Int(value & 63)])
                count += 1
            }
            var index = 0
            while index < bytes.count {
                let left = bytes.count - index
                let second = left > 1 ? bytes[index + 1] : 0
                let third = left > 2 ? bytes[index + 2] : 0
                let group = UInt32(bytes[index]) << 16 | UInt32(second) << 8 | UInt32(third)
                add(group >> 18)
                add(group >> 12)
                if left > 1 { add(group >> 6) }
                if left > 2 { add(group) }
                index += 3
            }
            while self == .standard, count < padded {
                text.initializeElement(at: count, to: UInt8(ascii: "="))
                count += 1
            }
        }
    }

    /// The bytes that `text` stands for, or `nil` when it is not exactly what ``encode(_:)`` would have made.
    package func decode(_ text: some StringProtocol) -> [UInt8]? {
        decode(utf8: Array(text.utf8)[...])
    }

    /// As ``decode(_:)``, of ASCII bytes.
    func decode(utf8 text: ArraySlice<UInt8>) -> [UInt8]? {
        var text = text
        if self == .standard {
            guard text.count.isMultiple(of: 4) else { return nil }
            for _ in 0..<2 where text.last == UInt8(ascii: "=") { text.removeLast() }
        }
        guard text.count % 4 != 1 else { return nil }

        let values = self == .url ? Self.urlValues : Self.standardValues
        var bits: UInt32 = 0
        // The two bits above a value are set in what isn't one only, so that one look at the end is enough.
        var seen: UInt8 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: text.count * 3 / 4) { bytes, count in
            var width: UInt32 = 0
            for character in text {
                let value = values[Int(character)]
                seen |= value
                bits = bits << 6 | UInt32(value & 63)
                width += 6
                if width >= 8 {
                    width -= 8
                    bytes.initializeElement(at: count, to: UInt8(truncatingIfNeeded: bits >> width))
                    count += 1
                    bits &= (1 << width) - 1
                }
            }
        }
        return bits == 0 && seen < 64 ? bytes : nil
    }
}
