import Foundation

/// Secrets that are made once for a checkout and kept in `.runner/env`, a file of `NAME=value` lines with mode 0600.
package struct Secrets: Sendable, Equatable {
    /// In the order of the file.
    package private(set) var values: [String: String]

    /// Reads the file and makes what it and `environment` lack, each 32 random bytes in hexadecimal.
    ///
    /// What `environment` sets is neither made nor stored. A name that is stored keeps its value for ever: sealed
    /// rows and signed tokens depend on it.
    ///
    /// - Throws: ``FleetError`` when the file cannot be read or written.
    package init(file: String, making names: [String], environment: [String: String]) throws(FleetError) {
        var text = ""
        if Files.exists(file) {
            do {
                text = try String(contentsOfFile: file, encoding: .utf8)
            } catch {
                throw FleetError("could not read \(file): \(error.localizedDescription)")
            }
        }
        values = Self.parse(text)
        let new = names.filter { (environment[$0] ?? "").isEmpty && (values[$0] ?? "").isEmpty }
        guard !new.isEmpty else { return }

        if text.isEmpty { text = "# Made by `runner up` for this checkout. What the environment or .env sets wins.\n" }
        if !text.hasSuffix("\n") { text += "\n" }
        for name in new {
            let value = Self.random()
            values[name] = value
            text += "\(name)=\(value)\n"
        }
        try Self.write(text, to: file)
    }

    static func parse(_ text: String) -> [String: String] {
        var values: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            values[String(line[..<equals])] = String(line[line.index(after: equals)...])
        }
        return values
    }

    private static func random() -> String {
        // The system's generator reads getrandom(2).
        var generator = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let part = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - part.count) + part
        }.joined()
    }

    /// Writes beside and renames, so that a crash leaves the old file or the new one.
    private static func write(_ text: String, to file: String) throws(FleetError) {
        let beside = "\(file).new"
        unlink(beside)
        let descriptor = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw FleetError("could not write \(beside): \(String(cString: strerror(errno)))")
        }
        let written = Foundation.write(descriptor, text, text.utf8.count)
        fsync(descriptor)
        close(descriptor)
        guard written == text.utf8.count, rename(beside, file) == 0 else {
            throw FleetError("could not write \(file): \(String(cString: strerror(errno)))")
        }
    }
}
