import Yams

/// Reads the nodes of one file and gathers what is wrong with them.
///
/// Methods that read something return `nil` after having recorded why they couldn't, so that the reading goes on and every
/// fault is told at once.
final class SourceReader {
    let file: String
    private let text: String
    private let lines: [Substring]
    private(set) var faults: [Fault] = []
    /// What keys were called before ``YAMLDocument`` renamed them to let libYAML's reader pass their second occurrence.
    private var renamedKeys: [String: String] = [:]

    init(text: String, file: String) {
        self.text = text
        self.file = file
        lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    }

    /// Records a fault.
    func fault(at position: SourcePosition, _ message: String, hint: String? = nil) {
        // libYAML puts what is missing at the end one line behind it.
        let isBehind = position.line > lines.count
        let position = isBehind ? SourcePosition(line: lines.count, column: lastColumn) : position
        let source = String(lines[position.line - 1])
        let fault = Fault(file: file, position: position, message: message, hint: hint, source: source)
        // What `defaults` says is read again for every function; one complaint about it is enough.
        if !faults.contains(fault) { faults.append(fault) }
    }

    /// The column behind the last line's end.
    private var lastColumn: Int { (lines.last?.unicodeScalars.count ?? 0) + 1 }

    /// The root of the document, or `nil` after a fault of syntax.
    func root() -> Node? {
        var document = YAMLDocument(text: text)
        let start = SourcePosition(line: 1, column: 1)
        do {
            guard let node = try document.compose() else {
                fault(at: start, "the file is empty")
                return nil
            }
            renamedKeys = document.renamedKeys
            return node
        } catch {
            let (position, message) = YAMLDocument.explain(error)
            fault(at: position ?? start, message)
            return nil
        }
    }

    /// The entries of a mapping; nothing at all is an empty one.
    ///
    /// - Parameters:
    ///   - node: the value.
    ///   - what: what it is, for the message: `"groups"`.
    /// - Returns: the entries in their order; `nil` for what is no mapping.
    func section(_ node: Node, _ what: String) -> Section? {
        let position = position(of: node)
        if isNull(node) { return Section(position: position, entries: []) }
        guard let mapping = node.mapping else {
            fault(at: position, "\(what) must be a mapping of keys to values")
            return nil
        }
        var entries: [Section.Entry] = []
        for (key, value) in mapping {
            guard let scalar = key.scalar else {
                fault(at: self.position(of: key), "a key must be a word")
                continue
            }
            let name = renamedKeys[scalar.string] ?? scalar.string
            let position = self.position(of: key)
            if let first = entries.first(where: { $0.name == name }) {
                let kind = what == "functions" ? "function" : "key"
                fault(
                    at: position,
                    "the \(kind) \"\(name)\" is here twice; the first is on line \(first.position.line)"
                )
            }
            entries.append(Section.Entry(name: name, position: position, value: value))
        }
        return Section(position: position, entries: entries)
    }

    /// Records each key of the section that isn't one of `known`.
    func checkKeys(of section: Section, _ what: String, known: [String]) {
        for entry in section.entries where !known.contains(entry.name) {
            let hint =
                Suggestion.hint(for: entry.name, among: known) ?? "known are \(known.sorted().joined(separator: ", "))"
            fault(at: entry.position, "unknown key \"\(entry.name)\" in \(what)", hint: hint)
        }
    }

    /// A single value as it is written, before YAML makes a number or a truth of it.
    func word(_ node: Node, _ what: String) -> Word? {
        let position = position(of: node)
        guard let scalar = node.scalar, !isNull(node) else {
            fault(at: position, "\(what) must be a single value")
            return nil
        }
        return Word(text: scalar.string, position: position, style: scalar.style)
    }

    /// A list of single values; a single value stands for a list of one.
    func words(_ node: Node, _ what: String) -> [Word]? {
        guard let sequence = node.sequence else {
            if isNull(node) { return [] }
            return word(node, "\(what) must be a list, or").map { [$0] }
        }
        let words = sequence.map { word($0, "each of \(what)") }
        return words.contains { $0 == nil } ? nil : words.compactMap { $0 }
    }

    /// A value that `parse` can read.
    func value<Value>(_ node: Node, _ what: String, is description: String, _ parse: (String) -> Value?) -> Value? {
        guard let word = word(node, what) else { return nil }
        guard let value = parse(word.text) else {
            fault(at: word.position, "\(what) must be \(description), not \"\(word.text)\"")
            return nil
        }
        return value
    }

    /// A whole number in a range.
    func integer(_ node: Node, _ what: String, in range: ClosedRange<Int>) -> Int? {
        value(node, what, is: "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            wholeNumber(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    func bool(_ node: Node, _ what: String) -> Bool? {
        value(node, what, is: "true or false") { $0 == "true" ? true : $0 == "false" ? false : nil }
    }

    /// One of the cases of an enumeration.
    func choice<Choice: RawRepresentable & CaseIterable>(_ node: Node, _ what: String, _: Choice.Type) -> Choice?
    where Choice.RawValue == String {
        guard let word = word(node, what) else { return nil }
        if let choice = Choice(rawValue: word.text) { return choice }
        let all = Choice.allCases.map(\.rawValue)
        fault(
            at: word.position,
            "\(what) must be one of \(all.joined(separator: ", ")), not \"\(word.text)\"",
            hint: Suggestion.hint(for: word.text, among: all)
        )
        return nil
    }

    func position(of node: Node) -> SourcePosition {
        SourcePosition(line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
    }

    func isNull(_ node: Node) -> Bool {
        guard let scalar = node.scalar, scalar.style == .plain else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }
}

/// The entries of a mapping in their order; a key that comes twice has two.
struct Section {
    struct Entry {
        let name: String
        let position: SourcePosition
        let value: Node
    }

    let position: SourcePosition
    let entries: [Entry]

    /// The first entry of that name.
    subscript(name: String) -> Entry? {
        entries.first { $0.name == name }
    }
}

/// A single value, and where each of its characters stands.
struct Word: Equatable {
    let text: String
    let position: SourcePosition
    let style: Node.Scalar.Style

    /// The place of the character after `offset` Unicode scalars; the beginning where that can't be told.
    func position(at offset: Int) -> SourcePosition {
        switch style {
        case .plain: SourcePosition(line: position.line, column: position.column + offset)
        case .singleQuoted, .doubleQuoted: SourcePosition(line: position.line, column: position.column + offset + 1)
        default: position
        }
    }
}
