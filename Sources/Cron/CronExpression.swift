/// A schedule in cron's five fields (minute, hour, day of month, month, day of week), with seconds before them if six.
///
/// As crontab(5) has it: lists, ranges, steps, names of months and days, Sunday as 0 or 7. Where both days are restricted
/// either one suffices, `*/2` counting as a restriction: so BullMQ's clients read it, with whom schedules are shared. `@hourly`
/// and its like are read too; `L`, `W`, `#` and `H`, of which these clients know some, are refused.
package struct CronExpression: Sendable, Equatable, CustomStringConvertible {
    /// As it was written.
    package let text: String

    let seconds: BitSet
    let minutes: BitSet
    let hours: BitSet
    let daysOfMonth: BitSet
    let months: BitSet
    let daysOfWeek: BitSet
    /// Whether a day matches by either of its fields rather than by both.
    let eitherDay: Bool
    /// Whether it fires at a distance rather than at an hour of the day: its hours begin with `*`.
    let isInterval: Bool

    package var description: String { text }

    /// - Parameter text: the expression.
    /// - Throws: what is wrong, and where in the text.
    package init(_ text: String) throws(CronFault) {
        self.text = text
        let expanded = Self.shorthands[text.lowercased()] ?? text
        let words = expanded.split(whereSeparator: { $0 == " " || $0 == "\t" })
        guard words.count == 5 || words.count == 6 else {
            throw CronFault(
                offset: 0,
                message: words.count == 1 && text.hasPrefix("@")
                    ? "unknown shorthand \"\(text)\""
                    : "a schedule has 5 fields, or 6 with seconds, and this one \(words.count)"
            )
        }
        var fields: [(word: Substring, offset: Int)] = words.map {
            ($0, expanded.unicodeScalars.distance(from: expanded.startIndex, to: $0.startIndex))
        }
        if fields.count == 5 { fields.insert(("0", 0), at: 0) }
        seconds = try CronField.second.parse(fields[0])
        minutes = try CronField.minute.parse(fields[1])
        hours = try CronField.hour.parse(fields[2])
        daysOfMonth = try CronField.dayOfMonth.parse(fields[3])
        months = try CronField.month.parse(fields[4])
        daysOfWeek = try CronField.dayOfWeek.parse(fields[5])
        isInterval = CronField.isOpen(fields[2].word)
        let isAnyDay = (1...31).allSatisfy(daysOfMonth.contains)
        eitherDay = !isAnyDay && !CronField.isAnyWeekday(fields[5].word)
        guard eitherDay || hasDay else {
            throw CronFault(offset: fields[3].offset, message: "no such day ever comes")
        }
    }

    /// Whether one of the months has one of the days.
    private var hasDay: Bool {
        (1...12).contains { month in
            months.contains(month)
                && daysOfMonth.smallest(from: 1).map { $0 <= CivilDate.longestMonths[month - 1] } ?? false
        }
    }

    private static let shorthands = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]
}

/// What is wrong with a cron expression.
package struct CronFault: Error, Sendable, Equatable {
    /// Unicode scalars before the place in the text.
    package let offset: Int
    package let message: String
}

/// One field's name, range and words.
private struct CronField {
    let name: String
    let range: ClosedRange<Int>
    var words: [String] = []

    static let second = CronField(name: "second", range: 0...59)
    static let minute = CronField(name: "minute", range: 0...59)
    static let hour = CronField(name: "hour", range: 0...23)
    static let dayOfMonth = CronField(name: "day of month", range: 1...31)
    static let month = CronField(
        name: "month",
        range: 1...12,
        words: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    )
    static let dayOfWeek = CronField(
        name: "day of week",
        range: 0...7,
        words: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
    )

    static func isOpen(_ word: Substring) -> Bool {
        word.hasPrefix("*") || word == "?"
    }

    /// Whether days of the week count for nothing.
    static func isAnyWeekday(_ word: Substring) -> Bool {
        ["*", "?", "*/1", "?/1", "0-7"].contains(word)
    }

    func parse(_ field: (word: Substring, offset: Int)) throws(CronFault) -> BitSet {
        var set = BitSet()
        for item in field.word.split(separator: ",", omittingEmptySubsequences: false) {
            for value in try values(of: item, offset: field.offset) {
                set.insert(range.upperBound == 7 && value == 7 ? 0 : value)
            }
        }
        return set
    }

    /// The values of `*`, `5`, `1-5`, or one of these with `/step`.
    private func values(of item: Substring, offset: Int) throws(CronFault) -> StrideThrough<Int> {
        func fault(_ message: String) -> CronFault { CronFault(offset: offset, message: message) }
        let parts = item.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        var step = 1
        if parts.count == 2 {
            guard let number = wholeNumber(parts[1]), number > 0, number <= range.upperBound else {
                throw fault("\"\(item)\" has no step from 1 to \(range.upperBound) in the \(name)")
            }
            step = number
        }
        if parts[0] == "*" || (parts[0] == "?" && name.hasPrefix("day")) {
            return stride(
                from: range.lowerBound,
                through: min(range.upperBound, name == "day of week" ? 6 : .max),
                by: step
            )
        }
        let ends = parts[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let numbers = ends.compactMap { number($0) }
        guard numbers.count == ends.count, numbers.allSatisfy(range.contains) else {
            throw fault("\"\(item)\" is not a \(name) from \(range.lowerBound) to \(range.upperBound)")
        }
        guard numbers[0] <= numbers[numbers.count - 1] else {
            throw fault("\"\(item)\" runs backwards in the \(name)")
        }
        // crontab(5) leaves `5/15` open; every reader that takes it means from 5 to the end.
        let isOpenStep = numbers.count == 1 && parts.count == 2
        return stride(from: numbers[0], through: isOpenStep ? range.upperBound : numbers[numbers.count - 1], by: step)
    }

    private func number(_ text: Substring) -> Int? {
        if let index = words.firstIndex(of: text.lowercased()) { return range.lowerBound == 1 ? index + 1 : index }
        return text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }
}

/// Small whole numbers, 0…63.
struct BitSet: Sendable, Equatable {
    private var bits: UInt64 = 0

    mutating func insert(_ value: Int) { bits |= 1 << UInt64(value) }
    func contains(_ value: Int) -> Bool { bits & (1 << UInt64(value)) != 0 }

    /// The smallest member that is at least `value`, 0…63.
    func smallest(from value: Int) -> Int? {
        let rest = bits >> UInt64(value)
        return rest == 0 ? nil : value + rest.trailingZeroBitCount
    }
}

/// Reads whole numbers: digits only, no sign, no leading zero but `0` itself.
private func wholeNumber(_ text: some StringProtocol) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text == "0" || text.first != "0" else {
        return nil
    }
    return Int(text)
}
