import Functions

/// A campaign's message with its variables: `{{name}}`, `{{phone}}`, `{{handle}}`, `{{variables.city}}`, each with a default
/// after a bar, as in `{{variables.city|there}}`.
struct CampaignMessage: Sendable {
    /// What a message consists of for one recipient.
    struct Rendered: Sendable, Equatable {
        var text = ""
        /// `{name, language, components}` as JSON text.
        var template: String?
    }

    /// A message can't be made for a recipient: these have no value and no default.
    struct Missing: Error, Equatable {
        let names: [String]
    }

    private enum Part: Sendable {
        case plain(String)
        case variable(name: String, fallback: String?)
    }

    private let text: [Part]?
    private let template: JSON?

    /// - Parameter message: `{text}` or `{template}`, checked.
    init(_ message: JSON) {
        text = message.given("text")?.string.map(Self.parts)
        template = message.given("template")
    }

    var isTemplate: Bool { template != nil }

    /// The names without a default, each once.
    var needed: [String] {
        var names: [String] = []
        for case .variable(let name, nil) in (text ?? []) + Self.strings(in: template).flatMap(Self.parts)
        where !names.contains(name) {
            names.append(name)
        }
        return names
    }

    /// - Parameter value: of a name, `nil` where the recipient has none.
    /// - Returns: the message with its variables filled.
    /// - Throws: ``Missing`` with every name that stays without a value.
    func render(_ value: (String) -> String?) throws(Missing) -> Rendered {
        var missing: [String] = []
        func filled(_ parts: [Part]) -> String {
            parts.reduce(into: "") { whole, part in
                switch part {
                case .plain(let text): whole += text
                case .variable(let name, let fallback):
                    if let found = value(name) ?? fallback {
                        whole += found
                    } else if !missing.contains(name) {
                        missing.append(name)
                    }
                }
            }
        }
        let rendered = Rendered(
            text: text.map(filled) ?? "",
            template: template.map { Self.mapping($0) { filled(Self.parts(of: $0)) }.text }
        )
        guard missing.isEmpty else { throw Missing(names: missing) }
        return rendered
    }

    /// Cuts a text at its variables; braces that don't close, or hold nothing, stay as they are.
    private static func parts(of text: String) -> [Part] {
        var parts: [Part] = []
        var rest = text[...]
        while let start = rest.range(of: "{{"), let end = rest[start.upperBound...].range(of: "}}") {
            let inside = rest[start.upperBound..<end.lowerBound]
            let halves = inside.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(halves[0].trimmed)
            if name.isEmpty || name.contains("{") {
                parts.append(.plain(String(rest[..<start.upperBound])))
                rest = rest[start.upperBound...]
                continue
            }
            parts.append(.plain(String(rest[..<start.lowerBound])))
            parts.append(.variable(name: name, fallback: halves.count == 2 ? String(halves[1]) : nil))
            rest = rest[end.upperBound...]
        }
        parts.append(.plain(String(rest)))
        return parts
    }

    private static func strings(in json: JSON?) -> [String] {
        switch json {
        case .string(let text)?: [text]
        case .array(let elements)?: elements.flatMap { strings(in: $0) }
        case .object(let members)?: members.flatMap { strings(in: $0.value) }
        default: []
        }
    }

    private static func mapping(_ json: JSON, _ change: (String) -> String) -> JSON {
        switch json {
        case .string(let text): .string(change(text))
        case .array(let elements): .array(elements.map { mapping($0, change) })
        case .object(let members): .object(members.map { JSON.Member($0.name, mapping($0.value, change)) })
        default: json
        }
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var part = self
        while part.first?.isWhitespace == true { part.removeFirst() }
        while part.last?.isWhitespace == true { part.removeLast() }
        return part
    }

    /// The first place of an ASCII text, found by its bytes.
    fileprivate func range(of word: String) -> Range<Index>? {
        let wanted = Array(word.utf8)
        var at = utf8.startIndex
        while let start = utf8[at...].firstIndex(of: wanted[0]) {
            let end = utf8.index(start, offsetBy: wanted.count, limitedBy: utf8.endIndex)
            guard let end else { return nil }
            if utf8[start..<end].elementsEqual(wanted) { return start..<end }
            at = utf8.index(after: start)
        }
        return nil
    }
}

/// What stands for the names in a campaign's message.
struct RecipientValues: Sendable {
    let name: String?
    let phone: String?
    let handle: String?
    /// An object of texts, numbers and booleans.
    let variables: JSON

    /// Empty is as good as none.
    subscript(_ name: String) -> String? {
        let value: String? =
            switch name {
            case "name": self.name
            case "phone": phone
            case "handle": handle
            case _ where name.hasPrefix("variables."): text(of: variables.given(String(name.dropFirst(10))))
            default: nil
            }
        return value.flatMap { $0.isEmpty ? nil : $0 }
    }

    private func text(of value: JSON?) -> String? {
        switch value {
        case .string(let text)?: text
        case .number(let text)?: text
        case .bool(let flag)?: flag ? "true" : "false"
        default: nil
        }
    }
}
