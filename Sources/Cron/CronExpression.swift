/// A schedule in cron's five fields (minute, hour, day of month, month, day of week), with seconds before them if six.
///
/// As crontab(5) has it: lists, ranges, steps, names of months and days, Sunday as 0 or 7. Where both days are restricted
/// either one suffices, `*/2` counting as a restriction: so BullMQ's clients read it, with whom schedules are shared. As
/// cron-parser has them, `L` is the month's last day, `5L` its last Friday and `5#2` its second; `@hourly` and its like are
/// read too. `W` and `H` are refused, and what cron-parser takes without a meaning: `15L`, `1-5L`, a number that is no day.
package struct CronExpression: Sendable, Equatable, CustomStringConvertible {
    /// As it was written.
    package let text: String

    let seconds: BitSet
    let minutes: BitSet
    let hours: BitSet
    let daysOfMonth: BitSet
    /// Whether the last day of a month matches, whatever its number.
    let hasLastDay: Bool
    let months: BitSet
    let daysOfWeek: BitSet
    /// The one week of a month whose `daysOfWeek` match, 1…5; `nil`: each one.
    let week: Int?
    /// Days of the week of which each month's last one matches.
    let lastDaysOfWeek: BitSet
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
        (daysOfMonth, hasLastDay) = try CronField.dayOfMonth.parseDaysOfMonth(fields[3])
        months = try CronField.month.parse(fields[4])
        (daysOfWeek, week, lastDaysOfWeek) = try CronField.dayOfWeek.parseDaysOfWeek(fields[5])
        isInterval = CronField.isOpen(fields[2].word)
        let isAnyDay = (1...31).allSatisfy(daysOfMonth.contains)
        eitherDay = !isAnyDay && !CronField.isAnyWeekday(fields[5].word)
        guard eitherDay || hasDay else {
            throw CronFault(offset: fields[3].offset, message: "no such day ever comes")
        }
    }

    /// Whether one of the months has one of the days.
    private var hasDay: Bool {
        hasLastDay
            || (1...12).contains { month in
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
        try parse(items(of: field.word), offset: field.offset)
    }

    /// Days, and whether `L`, the last one of each month, is among them.
    func parseDaysOfMonth(
        _ field: (word: Substring, offset: Int)
    ) throws(CronFault) -> (days: BitSet, hasLast: Bool) {
        let items = items(of: field.word)
        return (try parse(items.filter { $0 != "L" }, offset: field.offset), items.contains("L"))
    }

    /// Days of every week, or of the one that `#` names, and those of the last seven days that stand before an `L`.
    func parseDaysOfWeek(
        _ field: (word: Substring, offset: Int)
    ) throws(CronFault) -> (days: BitSet, week: Int?, last: BitSet) {
        if field.word.contains("#") {
            let (day, week) = try numberedDay(field)
            return (day, week, BitSet())
        }
        let items = items(of: field.word)
        var last = BitSet()
        for item in items where item.hasSuffix("L") {
            guard let day = number(item.dropLast()), range.contains(day) else {
                throw CronFault(
                    offset: field.offset,
                    message: item == "L"
                        ? "\"L\" has no day before it in the \(name), as the last Friday, \"5L\", has"
                        : "\"\(item)\" is not the last \(name) from 0 to 7"
                )
            }
            last.insert(day % 7)
        }
        return (try parse(items.filter { !$0.hasSuffix("L") }, offset: field.offset), nil, last)
    }

    /// The day and the week of `5#2`. No other day may stand beside it: Node's client refuses such a list.
    private func numberedDay(_ field: (word: Substring, offset: Int)) throws(CronFault) -> (day: BitSet, week: Int) {
        func fault(_ message: String) -> CronFault { CronFault(offset: field.offset, message: message) }
        guard !field.word.contains(where: { ",-/".contains($0) }) else {
            throw fault("\"\(field.word)\" has more than one day beside \"#\" in the \(name)")
        }
        let parts = field.word.split(separator: "#", omittingEmptySubsequences: false)
        guard parts.count == 2, let day = number(parts[0]), range.contains(day) else {
            throw fault("\"\(field.word)\" has no \(name) from 0 to 7 before its \"#\"")
        }
        guard let week = wholeNumber(parts[1]), (1...5).contains(week) else {
            throw fault("\"\(field.word)\" has no week from 1 to 5 behind its \"#\" in the \(name)")
        }
        var set = BitSet()
        set.insert(day % 7)
        return (set, week)
    }

    private func items(of word: Substring) -> [Substring] {
        word.split(separator: ",", omittingEmptySubsequences: false)
    }

    private func parse(_ items: [Substring], offset: Int) throws(CronFault) -> BitSet {
        var set = BitSet()
        for item in items {
            for value in try values(of: item, offset: offset) {
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
