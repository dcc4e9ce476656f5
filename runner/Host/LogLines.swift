import Foundation
package import Logging

/// Writes log lines to one descriptor, standard output unless told: JSON for machines, a short coloured line for a terminal.
///
/// Values of members that hold secrets never appear: what looks like one by its name is replaced.
package struct LogLines: LogHandler {
    package enum Style: Sendable {
        case json
        case pretty(colours: Bool)
    }

    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let style: Style
    private let descriptor: Int32

    package init(label: String, style: Style, level: Logger.Level, descriptor: Int32 = STDOUT_FILENO) {
        self.label = label
        self.style = style
        self.descriptor = descriptor
        logLevel = level
    }

    /// Pretty where the descriptor is a terminal and nothing asks for production, JSON elsewhere.
    package static func style(environment: [String: String], descriptor: Int32 = STDOUT_FILENO) -> Style {
        if environment["NODE_ENV"] == "production" { return .json }
        switch environment["LOG_FORMAT"] {
        case "json": return .json
        // Whoever shows the lines on a terminal may stand between it and us.
        case "pretty": return .pretty(colours: isatty(descriptor) == 1 || environment["CLICOLOR_FORCE"] == "1")
        default: return isatty(descriptor) == 1 ? .pretty(colours: environment["NO_COLOR"] == nil) : .json
        }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let given = event.metadata { all.merge(given) { _, new in new } }
        if let error = event.error { all["error"] = "\(error)" }
        let line =
            switch style {
            case .json: json(event.level, event.message.description, all)
            case .pretty(let colours): pretty(event.level, event.message.description, all, colours: colours)
            }
        // One write, so that lines of several processes on one terminal stay whole.
        line.withUnsafeBufferPointer { buffer in _ = write(descriptor, buffer.baseAddress, buffer.count) }
    }

    private func json(_ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata) -> [UInt8] {
        var line = LineWriter()
        line.open()
        line.member("time", Self.time(Date()))
        line.member("level", level.rawValue)
        line.member("message", message)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) where !key.hasPrefix("hb.") {
            line.member(key, Self.isSecret(key) ? "••••" : value.description)
        }
        line.close()
        return line.bytes
    }

    private func pretty(
        _ level: Logger.Level,
        _ message: String,
        _ metadata: Logger.Metadata,
        colours: Bool
    ) -> [UInt8] {
        let colour =
            switch level {
            case .trace, .debug: "\u{1B}[90m"
            case .info, .notice: "\u{1B}[36m"
            case .warning: "\u{1B}[33m"
            case .error, .critical: "\u{1B}[31m"
            }
        let details = metadata.sorted { $0.key < $1.key }
            .filter { !$0.key.hasPrefix("hb.") }
            .map { "\($0.key)=\(Self.isSecret($0.key) ? "••••" : $0.value.description)" }
            .joined(separator: " ")
        let time = Self.time(Date()).dropFirst(11).dropLast(1)
        let name = level.rawValue.padding(toLength: 7, withPad: " ", startingAt: 0)
        let printable = String(message.map { $0.isNewline ? " " : $0 })
        return Array(
            colours
                ? "\u{1B}[90m\(time)\u{1B}[0m \(colour)\(name)\u{1B}[0m \(printable) \u{1B}[90m\(details)\u{1B}[0m\n"
                    .utf8
                : "\(time) \(name) \(printable) \(details)\n".utf8
        )
    }

    private static func time(_ date: Date) -> String {
        date.formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted)
        )
    }

    /// Whether a member of this name may hold what must not be logged.
    static func isSecret(_ key: String) -> Bool {
        let lower = key.lowercased()
        return ["password", "secret", "token", "authorization", "cookie", "credential", "access_token", "apikey"]
            .contains { lower.contains($0) }
    }
}

/// A JSON object of strings on one line.
private struct LineWriter {
    var bytes: [UInt8] = []

    mutating func open() {
        bytes.reserveCapacity(256)
        bytes.append(UInt8(ascii: "{"))
    }

    mutating func close() {
        bytes.append(UInt8(ascii: "}"))
        bytes.append(0x0A)
    }

    mutating func member(_ name: String, _ value: String) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        string(name)
        bytes.append(UInt8(ascii: ":"))
        string(value)
    }

    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes.append(contentsOf: #"\""#.utf8)
            case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
            case 0x0A: bytes.append(contentsOf: #"\n"#.utf8)
            case 0..<0x20: bytes.append(contentsOf: "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
