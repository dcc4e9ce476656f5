/// A place in the file; both count from 1, columns in Unicode scalars as libYAML does.
package struct SourcePosition: Sendable, Hashable, Comparable {
    package let line: Int
    package let column: Int

    package static func < (one: SourcePosition, other: SourcePosition) -> Bool {
        (one.line, one.column) < (other.line, other.column)
    }
}

/// Something that is wrong in the file, and where.
package struct Fault: Sendable, Equatable, CustomStringConvertible {
    package let file: String
    package let position: SourcePosition
    /// A sentence without its full stop: `unknown queue "campaign"`.
    package let message: String
    /// What probably helps: `did you mean "campaigns"?`
    package let hint: String?
    /// The line of the file that the position is in.
    package let source: String

    package var line: Int { position.line }
    package var column: Int { position.column }

    /// As compilers have it: file, line, column, message; then the line itself and a caret under the place.
    package var description: String {
        let text = hint.map { "\(message); \($0)" } ?? message
        // Tabs stay tabs, so that the caret stands below its place however wide the terminal shows them.
        let margin = String(source.unicodeScalars.prefix(column - 1).map { $0 == "\t" ? "\t" : " " as Character })
        return "\(file):\(line):\(column): error: \(text)\n\(source)\n\(margin)^"
    }
}

/// All that is wrong in the file, in the order of the file.
package struct ManifestFaults: Error, Sendable, Equatable, CustomStringConvertible {
    package let faults: [Fault]

    package var description: String {
        faults.map(\.description).joined(separator: "\n")
    }
}
