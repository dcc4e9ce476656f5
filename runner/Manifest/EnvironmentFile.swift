/// Reads and writes `.env` files.
///
/// A line is `NAME=value`, `export NAME=value`, a comment or blank. `'…'` is taken as it is, in `"…"` the escapes `\n`, `\r`,
/// `\t`, `\"`, `\\` and `\$` are read, and both may span lines; without quotes a value ends before ` #`. Nothing is
/// interpolated: a `$` is a `$`. Of a name that comes twice the last counts.
package enum EnvironmentFile {
    /// The variables in `text`.
    ///
    /// - Parameters:
    ///   - text: of the file, with any line ends.
    ///   - file: the name to say in faults.
    /// - Returns: values by name.
    /// - Throws: every line that can't be read; no message holds a value.
    package static func parse(_ text: String, file: String = ".env") throws(EnvironmentFileFaults) -> [String: String] {
        var parser = EnvironmentParser(text)
        var values: [String: String] = [:]
        var faults: [String] = []
        while let entry = parser.next() {
            switch entry.result {
            case .success(let (name, value)): values[name] = value
            case .failure(let problem): faults.append("\(file):\(entry.line): error: \(problem.message)")
            }
        }
        guard faults.isEmpty else { throw EnvironmentFileFaults(faults: faults) }
        return values
    }

    /// One line that ``parse(_:file:)`` reads as this name and value, quoted where that is needed.
    package static func line(_ name: String, _ value: String) -> String {
        let isPlain = value.unicodeScalars.allSatisfy { scalar in
            scalar.isASCII
                && (scalar.properties.isAlphabetic || "0123456789_-./:@%+=,?&~".unicodeScalars.contains(scalar))
        }
        guard !isPlain else { return "\(name)=\(value)" }
        var quoted = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case "\"", "\\", "$": quoted += "\\\(scalar)"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return "\(name)=\"\(quoted)\""
    }

    /// The text of an `.env.example`: every variable with what it is for; those that may stay away are commented out.
    package static func example(_ variables: some Sequence<Variable>) -> String {
        var text = "# Copy to .env and fill in. What is commented out shows its default or may stay unset.\n"
        for variable in variables {
            text += "\n"
            for line in (variable.doc ?? "").split(separator: "\n") { text += "# \(line)\n" }
            text += "# \(remarks(on: variable).joined(separator: ", "))\n"
            let prefix = variable.isRequired ? "" : "#"
            text += prefix + line(variable.name, variable.default ?? "") + "\n"
        }
        return text
    }

    private static func remarks(on variable: Variable) -> [String] {
        var remarks = [variable.isRequired ? "required" : "optional"]
        switch variable.kind {
        case .string: break
        case .int: remarks.append("whole number")
        case .bool: remarks.append("true or false")
        case .duration: remarks.append("duration \(DurationText.example)")
        case .size: remarks.append("size \(SizeText.example)")
        case .url: remarks.append("URL")
        case .choice: remarks.append("one of \(variable.choices.joined(separator: " | "))")
        }
        if let minimum = variable.minimum { remarks.append("at least \(minimum)") }
        if let maximum = variable.maximum { remarks.append("at most \(maximum)") }
        if let length = variable.minLength { remarks.append("at least \(length) characters") }
        if variable.isSecret { remarks.append("secret") }
        if variable.isShared { remarks.append("needed in a container") }
        return remarks
    }
}

/// All lines of the file that can't be read, each as `file:line: error: message`.
package struct EnvironmentFileFaults: Error, Sendable, Equatable, CustomStringConvertible {
    package let faults: [String]

    package var description: String { faults.joined(separator: "\n") }
}

private struct EnvironmentProblem: Error {
    let message: String
}

/// Walks through the file, entry by entry.
private struct EnvironmentParser {
    private let text: [Unicode.Scalar]
    private var index = 0
    private var line = 1

    init(_ text: String) {
        // Line ends of any kind are one scalar from here on, and a byte order mark is nothing.
        let scalars = text.unicodeScalars.drop { $0 == "\u{feff}" }
        var lines: [Unicode.Scalar] = []
        for scalar in scalars where !(scalar == "\n" && lines.last == "\r") {
            if lines.last == "\r" { lines[lines.count - 1] = "\n" }
            lines.append(scalar)
        }
        self.text = lines.map { $0 == "\r" ? "\n" : $0 }
    }

    typealias Entry = (line: Int, result: Result<(String, String), EnvironmentProblem>)

    /// The next entry; after a problem the walk goes on with the next line.
    mutating func next() -> Entry? {
        skip { $0 == " " || $0 == "\t" || $0 == "\n" }
        while peek == "#" {
            skip { $0 != "\n" }
            skip { $0 == " " || $0 == "\t" || $0 == "\n" }
        }
        guard peek != nil else { return nil }
        let start = line
        do throws(EnvironmentProblem) {
            return (start, .success(try entry()))
        } catch {
            skip { $0 != "\n" }
            return (start, .failure(error))
        }
    }

    private mutating func entry() throws(EnvironmentProblem) -> (String, String) {
        var name = word()
        if name == "export", peek == " " || peek == "\t" {
            skip { $0 == " " || $0 == "\t" }
            name = word()
        }
        guard let first = name.unicodeScalars.first, !("0"..."9").contains(first) else {
            throw EnvironmentProblem(message: "a line must be NAME=value, a comment or blank")
        }
        skip { $0 == " " || $0 == "\t" }
        guard peek == "=" else { throw EnvironmentProblem(message: "\(name) has no \"=\" after it") }
        advance()
        skip { $0 == " " || $0 == "\t" }
        return (name, try value(of: name))
    }

    private mutating func value(of name: String) throws(EnvironmentProblem) -> String {
        guard let quote = peek, quote == "'" || quote == "\"" else { return plainValue() }
        advance()
        var value = String.UnicodeScalarView()
        while let scalar = peek, scalar != quote {
            advance()
            if quote == "\"", scalar == "\\", let escaped = peek {
                advance()
                switch escaped {
                case "n": value.append("\n")
                case "r": value.append("\r")
                case "t": value.append("\t")
                case "\"", "\\", "$": value.append(escaped)
                default: value.append(contentsOf: ["\\", escaped])
                }
            } else {
                value.append(scalar)
            }
        }
        guard peek == quote else { throw EnvironmentProblem(message: "the quote of \(name) is never closed") }
        advance()
        skip { $0 == " " || $0 == "\t" }
        guard peek == nil || peek == "\n" || peek == "#" else {
            throw EnvironmentProblem(message: "something follows the closing quote of \(name)")
        }
        skip { $0 != "\n" }
        return String(value)
    }

    private mutating func plainValue() -> String {
        var value = String.UnicodeScalarView()
        var previous: Unicode.Scalar = " "
        while let scalar = peek, scalar != "\n" {
            if scalar == "#", previous == " " || previous == "\t" { break }
            value.append(scalar)
            previous = scalar
            advance()
        }
        skip { $0 != "\n" }
        while let last = value.last, last == " " || last == "\t" { value.removeLast() }
        return String(value)
    }

    private mutating func word() -> String {
        var word = String.UnicodeScalarView()
        while let scalar = peek, scalar.isASCII,
            scalar.properties.isAlphabetic || scalar == "_" || ("0"..."9").contains(scalar)
        {
            word.append(scalar)
            advance()
        }
        return String(word)
    }

    private var peek: Unicode.Scalar? { index < text.count ? text[index] : nil }

    private mutating func advance() {
        if text[index] == "\n" { line += 1 }
        index += 1
    }

    private mutating func skip(while condition: (Unicode.Scalar) -> Bool) {
        while let scalar = peek, condition(scalar) { advance() }
    }
}
