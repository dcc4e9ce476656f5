/// A value to be written as YAML: what is quoted follows from the text alone, and mappings keep their order, so that the
/// same value is the same text.
indirect enum YAML: Sendable {
    case text(String)
    case number(Int)
    case truth(Bool)
    case list([YAML])
    case mapping([(key: String, value: YAML)])
    /// A value with a comment on the lines before it.
    case remarked(String, YAML)

    /// A document, from its first line to its last line's end.
    var document: String { block(indent: "") }

    // MARK: Blocks

    /// The lines of a mapping or a list.
    private func block(indent: String) -> String {
        switch self {
        case .mapping(let entries):
            return entries.map { key, value in
                value.remark(indent) + indent + Self.scalar(key) + ":" + value.bare.follow(indent: indent)
            }.joined()
        case .list(let items):
            return items.map { item in
                let text = item.bare
                guard text.isBlock else { return item.remark(indent) + indent + "-" + text.follow(indent: indent) }
                // The first line begins with the dash in place of two of its spaces.
                let lines = text.block(indent: indent + "  ").dropFirst(indent.count + 2)
                return item.remark(indent) + indent + "- " + lines
            }.joined()
        case .text, .number, .truth: return indent + inline + "\n"
        case .remarked(_, let value): return remark(indent) + value.block(indent: indent)
        }
    }

    /// What stands behind a key: on its line, or on the lines below it.
    private func follow(indent: String) -> String {
        isBlock ? "\n" + block(indent: indent + "  ") : " " + inline + "\n"
    }

    private var isBlock: Bool {
        switch self {
        case .mapping(let entries): !entries.isEmpty
        case .list(let items): !items.isEmpty
        case .text, .number, .truth: false
        case .remarked(_, let value): value.isBlock
        }
    }

    private var bare: YAML {
        if case .remarked(_, let value) = self { value.bare } else { self }
    }

    private func remark(_ indent: String) -> String {
        guard case .remarked(let text, _) = self else { return "" }
        return Self.comment(text, indent: indent)
    }

    /// Text as the lines of a comment.
    static func comment(_ text: String, indent: String = "") -> String {
        text.split(separator: "\n").map { "\(indent)# \($0)\n" }.joined()
    }

    // MARK: Scalars

    private var inline: String {
        switch self {
        case .text(let text): Self.scalar(text)
        case .number(let number): "\(number)"
        case .truth(let isTrue): isTrue ? "true" : "false"
        case .list: "[]"
        case .mapping: "{}"
        case .remarked(_, let value): value.inline
        }
    }

    /// Without quotes only what no version of YAML could take for something else.
    private static func scalar(_ text: String) -> String {
        let scalars = text.unicodeScalars
        let isPlain =
            scalars.first.map { isLetter($0) || $0 == "/" } == true && scalars.last != ":"
            && scalars.allSatisfy { isLetter($0) || ("0"..."9").contains($0) || "_-./:@=".unicodeScalars.contains($0) }
            && !words.contains(text.lowercased())
        guard !isPlain else { return text }
        var quoted = "\""
        for scalar in scalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\x" + (digits.count < 2 ? "0" : "") + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private static let words: Set<String> = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
    }
}

extension YAML: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .number(value) }
    init(booleanLiteral value: Bool) { self = .truth(value) }
    init(arrayLiteral elements: YAML...) { self = .list(elements) }

    /// Entries whose value is `nil` aren't there.
    init(dictionaryLiteral elements: (String, YAML?)...) {
        self = .mapping(elements.compactMap { key, value in value.map { (key, $0) } })
    }
}
