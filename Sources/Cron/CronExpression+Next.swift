package import Foundation

extension CronExpression {
    /// The first time after `date` at which the schedule fires by the clocks of `zone`; `nil` if none comes in 50 years.
    ///
    /// A local time that a change of the clocks skips fires once, at the first instant after the gap. One that comes
    /// twice fires the first time only, unless the schedule is an interval, whose hours begin with `*`: that goes on.
    package func next(after date: Date, in zone: TimeZone) -> Date? {
        let instant = Int(date.timeIntervalSince1970.rounded(.down))
        if isInterval { return nextOfInterval(after: instant, in: zone) }
        var local = instant + zone.offset(at: instant)
        let last = local + 50 * 366 * 86_400
        // Local times and the instants they stand for rise together, so the first match with a later instant is the one.
        while let match = firstMatch(from: local, through: last) {
            let fire = zone.instant(ofLocal: match)
            if fire > instant { return Date(timeIntervalSince1970: TimeInterval(fire)) }
            local = match + 1
        }
        return nil
    }

    /// By what the clocks show at each instant, from one change of them to the next.
    private func nextOfInterval(after instant: Int, in zone: TimeZone) -> Date? {
        var start = instant + 1
        let end = instant + 50 * 366 * 86_400
        while start < end {
            let offset = zone.offset(at: start)
            let change = zone.nextChange(after: start)
            let match = firstMatch(from: start + offset, through: end + offset)
            if let match, match - offset < change ?? .max { return Date(timeIntervalSince1970: Double(match - offset)) }
            guard let change else { return nil }
            // What the clocks skip fires when they have.
            let skipped = zone.offset(at: change) - offset
            if let match, match - offset < change + skipped { return Date(timeIntervalSince1970: Double(change)) }
            start = change
        }
        return nil
    }

    /// The first matching local time, in seconds since 1970 as if it were UTC.
    private func firstMatch(from start: Int, through last: Int) -> Int? {
        var day = Int((Double(start) / 86_400).rounded(.down))
        var second = start - day * 86_400
        while day * 86_400 <= last {
            let date = CivilDate(dayOf1970: day)
            if matches(date), let match = firstTime(from: second) { return day * 86_400 + match }
            day += 1
            second = 0
        }
        return nil
    }

    private func matches(_ date: CivilDate) -> Bool {
        guard months.contains(date.month) else { return false }
        let byMonth = daysOfMonth.contains(date.day) || hasLastDay && date.day == date.daysOfMonth
        let isInWeek = week.map { (date.day + 6) / 7 == $0 } ?? true
        let isLastOfItsKind = date.day > date.daysOfMonth - 7
        let byWeek =
            isInWeek && daysOfWeek.contains(date.weekday)
            || isLastOfItsKind && lastDaysOfWeek.contains(date.weekday)
        return eitherDay ? byMonth || byWeek : byMonth && byWeek
    }

    /// The first matching second of a day at or after one.
    private func firstTime(from second: Int) -> Int? {
        var time = (hour: second / 3600, minute: second / 60 % 60, second: second % 60)
        while let hour = time.hour > 23 ? nil : hours.smallest(from: time.hour) {
            if hour != time.hour { time = (hour, 0, 0) }
            while let minute = time.minute > 59 ? nil : minutes.smallest(from: time.minute) {
                if minute != time.minute { time = (hour, minute, 0) }
                if let second = time.second > 59 ? nil : seconds.smallest(from: time.second) {
                    return hour * 3600 + minute * 60 + second
                }
                time = (hour, minute + 1, 0)
            }
            time = (hour + 1, 0, 0)
        }
        return nil
    }
}

extension TimeZone {
    /// Seconds that local time is ahead of UTC at an instant, given in seconds since 1970.
    fileprivate func offset(at instant: Int) -> Int {
        secondsFromGMT(for: Date(timeIntervalSince1970: TimeInterval(instant)))
    }

    /// The first instant after another one at which the clocks are set.
    fileprivate func nextChange(after instant: Int) -> Int? {
        nextDaylightSavingTimeTransition(after: Date(timeIntervalSince1970: TimeInterval(instant))).map {
            Int($0.timeIntervalSince1970)
        }
    }

    /// The instant at which local clocks first show `local`, or at which they have skipped it.
    fileprivate func instant(ofLocal local: Int) -> Int {
        // No zone is more than 14 hours ahead of UTC or 12 behind, so the instant lies between these two.
        let before = local - 15 * 3600
        let after = local + 15 * 3600
        let early = offset(at: before)
        let late = offset(at: after)
        if early == late { return local - early }
        // The clocks change about now. The offset from before counts first, so that what comes twice is its first.
        for offset in [early, late] where self.offset(at: local - offset) == offset { return local - offset }
        return change(after: before, through: after)
    }

    /// The first instant whose offset is another than that of `start`; `end`'s is.
    private func change(after start: Int, through end: Int) -> Int {
        let offset = offset(at: start)
        var (low, high) = (start, end)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if self.offset(at: middle) == offset { low = middle } else { high = middle }
        }
        return high
    }
}

/// A day of the Gregorian calendar.
struct CivilDate: Equatable {
    let year: Int
    let month: Int
    let day: Int
    /// Sunday is 0.
    let weekday: Int

    /// How many days its month has.
    var daysOfMonth: Int {
        let isLeapYear = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 && !isLeapYear ? 28 : Self.longestMonths[month - 1]
    }

    /// Days of each month in a leap year.
    static let longestMonths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

    /// Counts days from 1970-01-01 in eras of 400 years that begin in March, so that leap days come last.
    init(dayOf1970 day: Int) {
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        self.day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        weekday = ((day + 4) % 7 + 7) % 7
    }
}
