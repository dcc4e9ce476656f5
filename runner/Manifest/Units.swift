/// Reads durations that carry their unit: `250ms`, `10s`, `5m`, `36h`, `30d`.
package enum DurationText {
    static let example = "such as 250ms, 10s, 5m, 2h or 30d"
    private static let units: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// The duration, or `nil` when `text` isn't a whole number of at most 12 digits with a unit.
    package static func parse(_ text: some StringProtocol) -> Duration? {
        quantity(text, units: units.map { ($0.suffix, $0.milliseconds) }).map { .milliseconds($0) }
    }

    /// The shortest text that means `duration`, to the millisecond.
    package static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = seconds * 1_000 + attoseconds / 1_000_000_000_000_000
        guard milliseconds != 0 else { return "0s" }
        guard let unit = units.last(where: { milliseconds % $0.milliseconds == 0 }) else { return "\(milliseconds)ms" }
        return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
    }
}

/// Reads sizes that carry their unit: `512B`, `64KiB`, `4MiB`, `1GiB`.
package enum SizeText {
    static let example = "such as 512B, 64KiB, 4MiB or 1GiB"
    private static let units: [(suffix: String, bytes: Int64)] = [
        ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30),
    ]

    /// The bytes, or `nil` when `text` isn't a whole number of at most 12 digits with a unit.
    package static func parse(_ text: some StringProtocol) -> Int? {
        quantity(text, units: units.map { ($0.suffix, $0.bytes) }).flatMap(Int.init(exactly:))
    }

    /// The shortest text that means `bytes`.
    package static func text(_ bytes: Int) -> String {
        guard bytes != 0, let unit = units.last(where: { Int64(bytes) % $0.bytes == 0 }) else { return "\(bytes)B" }
        return "\(Int64(bytes) / unit.bytes)\(unit.suffix)"
    }
}

private func quantity(_ text: some StringProtocol, units: [(String, Int64)]) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let suffix = text.dropFirst(digits.count)
    guard
        (1...12).contains(digits.count),
        let number = Int64(digits),
        let unit = units.first(where: { $0.0 == suffix })
    else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: unit.1)
    return overflow ? nil : product
}

/// Reads whole numbers: digits only, no sign, no leading zero but `0` itself.
func wholeNumber(_ text: some StringProtocol) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text == "0" || text.first != "0" else {
        return nil
    }
    return Int(text)
}
