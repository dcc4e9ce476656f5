/// What a server answers to one command (RFC 5321 §4.2).
struct SMTPReply: Sendable, Equatable {
    let code: Int
    /// Without the codes in front.
    let lines: [String]

    var isPositive: Bool { (200..<400).contains(code) }

    /// For logs: the code and some of the text, in printable ASCII.
    var summary: String {
        let text = lines.joined(separator: " ").unicodeScalars.map { scalar in
            (0x20..<0x7F).contains(scalar.value) ? Character(scalar) : "?"
        }
        return "\(code) \(String(text.prefix(200)))"
    }

    /// Puts lines together until a reply is whole.
    struct Parser {
        private var buffer: [UInt8] = []
        private var code: Int?
        private var lines: [String] = []

        /// RFC 5321 §4.5.3.1.5 allows 512 bytes a line; servers are given more, but not without end.
        private static let longestLine = 4096
        private static let mostLines = 200

        /// Whether bytes of a reply that isn't whole are left.
        var isEmpty: Bool { buffer.isEmpty && code == nil }

        /// - Returns: the replies that are whole with these bytes.
        /// - Throws: ``SMTPError`` for what isn't SMTP.
        mutating func read(_ bytes: some Sequence<UInt8>) throws(SMTPError) -> [SMTPReply] {
            var replies: [SMTPReply] = []
            for byte in bytes {
                guard byte == 0x0A else {
                    buffer.append(byte)
                    if buffer.count > Self.longestLine { throw .protocolFault("a line without end") }
                    continue
                }
                if buffer.last == 0x0D { buffer.removeLast() }
                if let reply = try line(String(decoding: buffer, as: UTF8.self)) { replies.append(reply) }
                buffer.removeAll(keepingCapacity: true)
            }
            return replies
        }

        private mutating func line(_ line: String) throws(SMTPError) -> SMTPReply? {
            let digits = line.utf8.prefix(3)
            let mark = line.utf8.dropFirst(3).first
            guard digits.count == 3, digits.allSatisfy({ (0x30...0x39).contains($0) }),
                let number = Int(line.prefix(3)), (200..<600).contains(number), number == code ?? number,
                mark == nil || mark == UInt8(ascii: " ") || mark == UInt8(ascii: "-"), lines.count < Self.mostLines
            else { throw .protocolFault("a line that is no reply") }
            lines.append(String(line.dropFirst(4)))
            guard mark != UInt8(ascii: "-") else {
                code = number
                return nil
            }
            defer {
                code = nil
                lines = []
            }
            return SMTPReply(code: number, lines: lines)
        }
    }
}

/// What a server can do, from its answer to EHLO.
struct SMTPAbilities: Sendable, Equatable {
    let offersTLS: Bool
    let takesUTF8: Bool
    /// In upper case.
    let authentication: Set<String>

    init(_ reply: SMTPReply) {
        var names: Set<String> = []
        var mechanisms: Set<String> = []
        for line in reply.lines.dropFirst() {
            // `AUTH=LOGIN` is how some old servers write it.
            let words = line.uppercased().split { $0 == " " || $0 == "=" }.map(String.init)
            guard let name = words.first else { continue }
            names.insert(name)
            if name == "AUTH" { mechanisms.formUnion(words.dropFirst()) }
        }
        offersTLS = names.contains("STARTTLS")
        takesUTF8 = names.contains("SMTPUTF8")
        authentication = mechanisms
    }
}
