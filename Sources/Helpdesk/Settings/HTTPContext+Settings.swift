import Functions

extension HTTPContext {
    /// A setting that functions.yaml declares as a whole number.
    ///
    /// - Throws: ``UnreadableSetting`` when it is absent or no number, which the check at start leaves no way to happen.
    func integer(_ name: String) throws -> Int {
        guard let text = try setting(name), let number = Int(text) else { throw UnreadableSetting(name: name) }
        return number
    }

    /// A setting that functions.yaml declares as a duration, such as `15m`.
    ///
    /// - Throws: ``UnreadableSetting`` when it is absent or no duration.
    func duration(_ name: String) throws -> Duration {
        guard let text = try setting(name), let duration = Duration(spelled: text) else {
            throw UnreadableSetting(name: name)
        }
        return duration
    }

    /// An address under `PUBLIC_URL`; `path` begins with a slash.
    func publicURL(_ path: String) throws -> String {
        var base = Substring(try setting("PUBLIC_URL") ?? "")
        while base.hasSuffix("/") { base.removeLast() }
        return base + path
    }
}

/// A setting isn't what functions.yaml declares; never shows its value.
struct UnreadableSetting: Error, CustomStringConvertible {
    let name: String
    var description: String { "\(name) can't be read as what functions.yaml declares" }
}

extension Duration {
    /// A whole number with one of functions.yaml's units: `ms`, `s`, `m`, `h`, `d`.
    init?(spelled text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard digits.count <= 12, let count = Int64(digits) else { return nil }
        switch text.dropFirst(digits.count) {
        case "ms": self = .milliseconds(count)
        case "s": self = .seconds(count)
        case "m": self = .seconds(count * 60)
        case "h": self = .seconds(count * 3600)
        case "d": self = .seconds(count * 86_400)
        default: return nil
        }
    }

    /// As a count of seconds with a fraction, for `make_interval`.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
