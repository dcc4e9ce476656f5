import Yams

/// Composes a document in which keys may come twice, so that they can be told together with all the other faults.
///
/// Yams stops at the first mapping with a repeated key. So the key it complains about is renamed in the text, by one
/// character of the private use area that keeps every position, and the text is read again.
struct YAMLDocument {
    private var text: String
    /// The names of renamed keys by what they are called now.
    private(set) var renamedKeys: [String: String] = [:]

    init(text: String) {
        self.text = text
    }

    mutating func compose() throws -> Node? {
        while true {
            do {
                return try Yams.compose(yaml: text)
            } catch YamlError.duplicatedKeysInMapping(let names, let context) {
                guard rename(names.first ?? "", at: context.mark) else {
                    throw YamlError.duplicatedKeysInMapping(duplicates: names, context: context)
                }
            }
        }
    }

    /// Renames the key at a place; false when it isn't written there as it reads, or when there are too many.
    private mutating func rename(_ name: String, at mark: Mark) -> Bool {
        guard
            !name.isEmpty,
            renamedKeys.count < 1000,
            let substitute = Unicode.Scalar(0xe000 + UInt32(renamedKeys.count))
        else { return false }
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map {
            Array($0.unicodeScalars)
        }
        guard lines.indices.contains(mark.line - 1) else { return false }
        var line = lines[mark.line - 1]
        var column = mark.column - 1
        if line.indices.contains(column), line[column] == "\"" || line[column] == "'" { column += 1 }
        guard line.indices.contains(column), line[column...].starts(with: name.unicodeScalars) else { return false }
        line[column] = substitute
        lines[mark.line - 1] = line

        var renamed = name.unicodeScalars
        renamed.replaceSubrange(renamed.startIndex..<renamed.index(after: renamed.startIndex), with: [substitute])
        renamedKeys[String(renamed)] = name
        text = lines.map { String(String.UnicodeScalarView($0)) }.joined(separator: "\n")
        return true
    }

    /// Where and what a fault of syntax is.
    static func explain(_ error: any Error) -> (SourcePosition?, String) {
        func position(_ mark: Mark) -> SourcePosition {
            SourcePosition(line: max(1, mark.line), column: max(1, mark.column))
        }
        func sentence(_ context: YamlError.Context?, _ problem: String) -> String {
            guard let context, !context.text.isEmpty else { return problem }
            return "\(problem) \(context.text) (line \(context.mark.line))"
        }
        switch error {
        case YamlError.scanner(let context, let problem, let mark, _),
            YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _):
            return (position(mark), sentence(context, problem))
        case YamlError.duplicatedKeysInMapping(let names, let context):
            return (position(context.mark), "the key \"\(names.first ?? "")\" is here twice")
        case YamlError.reader(let problem, let offset, _, let text):
            let before = offset.map { text.prefix($0) } ?? ""
            let line = before.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            return (
                SourcePosition(line: max(1, line.count), column: (line.last?.unicodeScalars.count ?? 0) + 1), problem
            )
        default:
            return (nil, "\(error)")
        }
    }
}
