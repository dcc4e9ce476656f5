import Foundation

/// Values of header fields: printable ASCII as it is, everything else as encoded words (RFC 2047).
enum HeaderText {
    /// A subject.
    static func unstructured(_ text: String) -> String {
        let text = oneLine(text)
        return isPlain(text) ? text : encodedWords(text)
    }

    /// An address, with its name in front if it has one.
    static func mailbox(_ mailbox: Mailbox) -> String {
        guard let name = mailbox.name.map(oneLine), !name.isEmpty else { return mailbox.address }
        guard isPlain(name) else { return "\(encodedWords(name)) <\(mailbox.address)>" }
        let quoted = name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return "\"\(quoted)\" <\(mailbox.address)>"
    }

    /// Without line ends and other controls, which would be something else than text in a header.
    private static func oneLine(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            let isControl = [.control, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
            line.unicodeScalars.append(isControl ? " " : scalar)
        }
        return line
    }

    /// Short enough to need no folding, and nothing that a reader would decode.
    private static func isPlain(_ text: String) -> Bool {
        text.utf8.count <= 60 && !text.contains("=?") && text.utf8.allSatisfy { (0x20..<0x7F).contains($0) }
    }

    /// Words of at most 75 characters, each on a line of its own and each whole characters.
    private static func encodedWords(_ text: String) -> String {
        var chunks: [[UInt8]] = [[]]
        for scalar in text.unicodeScalars {
            let bytes = Array(String(scalar).utf8)
            // 45 bytes are 60 characters of base64, and the frame takes 12.
            if chunks[chunks.count - 1].count + bytes.count > 45 { chunks.append([]) }
            chunks[chunks.count - 1] += bytes
        }
        return chunks.map { "=?utf-8?B?\(Data($0).base64EncodedString())?=" }.joined(separator: "\r\n ")
    }
}

/// RFC 2045 §6.7: bytes as printable ASCII in lines of at most 76 characters.
enum QuotedPrintable {
    /// Encodes one line, given and returned without its line end.
    static func encode(_ line: [UInt8]) -> [UInt8] {
        var encoded: [UInt8] = []
        var width = 0
        for (index, byte) in line.enumerated() {
            let isBlankAtTheEnd = (byte == 0x20 || byte == 0x09) && index == line.count - 1
            let isItself = ((0x20..<0x7F).contains(byte) || byte == 0x09) && byte != UInt8(ascii: "=")
            let part = isItself && !isBlankAtTheEnd ? [byte] : [UInt8(ascii: "=")] + hex(byte)
            if width + part.count > 75 {
                encoded += Array("=\r\n".utf8)
                width = 0
            }
            encoded += part
            width += part.count
        }
        return encoded
    }

    private static func hex(_ byte: UInt8) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return [digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
    }
}
