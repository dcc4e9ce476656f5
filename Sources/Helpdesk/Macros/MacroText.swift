import Foundation

/// A macro's text, taken apart at its variables: `{{contact.name}}`, with or without spaces inside the braces.
///
/// Braces that hold no such name on one line are plain text, and so is what a variable's value looks like.
struct MacroText: Sendable {
    static let variables = [
        "contact.name", "contact.phone", "contact.email", "ticket.number", "ticket.subject", "agent.name",
        "organisation.name",
    ]

    private enum Part {
        case text(String)
        case variable(String)
    }

    private let parts: [Part]

    init(_ content: String) {
        let bytes = Array(content.utf8)
        var parts: [Part] = []
        var start = 0
        var at = 0
        while at < bytes.count {
            guard let end = Self.end(ofVariableAt: at, in: bytes) else {
                at += 1
                continue
            }
            parts.append(.text(String(decoding: bytes[start..<at], as: UTF8.self)))
            let name = String(decoding: bytes[(at + 2)..<(end - 2)], as: UTF8.self)
            parts.append(.variable(name.trimmingCharacters(in: .whitespaces)))
            at = end
            start = end
        }
        parts.append(.text(String(decoding: bytes[start...], as: UTF8.self)))
        self.parts = parts
    }

    /// Where the variable that begins at `start` ends, if one does.
    private static func end(ofVariableAt start: Int, in bytes: [UInt8]) -> Int? {
        let (open, close) = (UInt8(ascii: "{"), UInt8(ascii: "}"))
        guard bytes[start...].starts(with: [open, open]) else { return nil }
        guard let end = bytes[(start + 2)...].firstIndex(where: { [open, close, UInt8(ascii: "\n")].contains($0) }),
            bytes[end...].starts(with: [close, close])
        else { return nil }
        return end + 2
    }

    /// The variables that there aren't, each once.
    var unknown: [String] {
        var names: [String] = []
        for case .variable(let name) in parts where !Self.variables.contains(name) && !names.contains(name) {
            names.append(name)
        }
        return names
    }

    /// The text with each variable's value; one without is empty.
    func filled(_ value: (String) throws -> String?) rethrows -> String {
        try parts.map { part in
            switch part {
            case .text(let text): text
            case .variable(let name): try value(name) ?? ""
            }
        }.joined()
    }
}
