import Functions

extension HTTPContext {
    /// A setting that functions.yaml declares as a whole number.
    ///
    /// - Throws: ``UnreadableSetting`` when it is absent or no number, which the check at start leaves no way to happen.
    func integer(_ name: String) throws -> Int {
        guard let text = try setting(name), let number = Int(text) else { throw UnreadableSetting(name: name) }
        return number
    }

    /// A setting that functions.yaml declares as a duration, such as `15m` or `1h 30m`.
    ///
    /// - Throws: ``UnreadableSetting`` when it is absent or no duration.
    func duration(_ name: String) throws -> Duration {
        guard let text = try setting(name), let duration = Duration(spelled: text) else {
            throw UnreadableSetting(name: name)
        }
        return duration
    }
}

/// A setting isn't what functions.yaml declares; never shows its value.
struct UnreadableSetting: Error, CustomStringConvertible {
    let name: String
    var description: String { "\(name) can't be read as what functions.yaml declares" }
}

extension Duration {
    /// Numbers with the units of functions.yaml: `ms`, `s`, `m`, `h`, `d`; several of them are added up.
    init?(spelled text: String) {
        var whole = Duration.zero
        var number = ""
        var unit = ""
        var isEmpty = true
        for character in text + " " {
            if character.isASCII, character.isNumber, unit.isEmpty {
                number.append(character)
                continue
            }
            if character.isASCII, character.isLetter, !number.isEmpty {
                unit.append(character)
                continue
            }
            if !unit.isEmpty {
                guard let count = Int64(number), let part = Duration.of(count, unit) else { return nil }
                whole += part
                isEmpty = false
                (number, unit) = ("", "")
                if character.isASCII, character.isNumber { number.append(character) }
            }
            guard character == " " || !number.isEmpty else { return nil }
        }
        guard !isEmpty, number.isEmpty else { return nil }
        self = whole
    }

    private static func of(_ count: Int64, _ unit: String) -> Duration? {
        switch unit {
        case "ms": .milliseconds(count)
        case "s": .seconds(count)
        case "m": .seconds(count * 60)
        case "h": .seconds(count * 3600)
        case "d": .seconds(count * 86_400)
        default: nil
        }
    }

    /// As a count of seconds with a fraction, for `make_interval`.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
