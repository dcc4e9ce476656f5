#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// PostgreSQL's ISO style of timestamptz in UTC (`2026-11-23 01:02:03.456789+00`), both ways, without a formatter.
enum Timestamp {
    /// Days and seconds between 1970 and Foundation's reference date, 2001.
    private static let referenceSeconds: Int64 = 978_307_200

    static func text(of date: Date) -> String {
        if date == .distantFuture { return "infinity" }
        if date == .distantPast { return "-infinity" }
        let micros = (date.timeIntervalSinceReferenceDate * 1_000_000).rounded()
        // The server holds the years 4713 BC to 294276 AD; beyond that nothing is lost by its own ends of time.
        guard micros > -2.2e17 else { return "-infinity" }
        guard micros < 9.1e18 else { return "infinity" }
        let total = Int64(micros) + referenceSeconds * 1_000_000
        let (days, rest) = floorDivide(total, 86_400_000_000)
        let (year, month, day) = civil(days: days)
        let (seconds, fraction) = floorDivide(rest, 1_000_000)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        append(year > 0 ? year : 1 - year, width: 4, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        append(month, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        append(day, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: "T"))
        append(seconds / 3600, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        append(seconds / 60 % 60, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        append(seconds % 60, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: "."))
        append(fraction, width: 6, to: &bytes)
        bytes.append(UInt8(ascii: "Z"))
        if year <= 0 { bytes.append(contentsOf: " BC".utf8) }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func date(from text: UnsafeRawBufferPointer) -> Date? {
        if text.elementsEqual("infinity".utf8) { return .distantFuture }
        if text.elementsEqual("-infinity".utf8) { return .distantPast }
        var scanner = Scanner(text: text)
        guard var year = scanner.number(), scanner.skip("-"), let month = scanner.number(), scanner.skip("-"),
            let day = scanner.number(), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        var seconds: Int64 = 0
        var micros: Int64 = 0
        if scanner.skip(" ") || scanner.skip("T"), scanner.isAtDigit {
            guard let hour = scanner.number(), scanner.skip(":"), let minute = scanner.number(), scanner.skip(":"),
                let second = scanner.number()
            else { return nil }
            seconds = hour * 3600 + minute * 60 + second
            if scanner.skip(".") {
                guard let fraction = scanner.fraction() else { return nil }
                micros = fraction
            }
            guard let offset = scanner.offset() else { return nil }
            seconds -= offset
        }
        if scanner.skip(" ") || !scanner.isAtEnd {
            guard scanner.skip("B"), scanner.skip("C") else { return nil }
            year = 1 - year
        }
        guard scanner.isAtEnd else { return nil }
        let whole = days(year: year, month: month, day: day) * 86_400 + seconds - referenceSeconds
        return Date(timeIntervalSinceReferenceDate: Double(whole) + Double(micros) / 1_000_000)
    }

    private static func append(_ number: Int64, width: Int, to bytes: inout [UInt8]) {
        let digits = String(number)
        for _ in 0..<max(0, width - digits.utf8.count) { bytes.append(UInt8(ascii: "0")) }
        bytes.append(contentsOf: digits.utf8)
    }

    private static func floorDivide(_ dividend: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = dividend.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    /// Days since 1970 of a day in the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date
    /// algorithms").
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = floorDivide(shifted, 400)
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The inverse of ``days(year:month:day:)``.
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    private struct Scanner {
        let text: UnsafeRawBufferPointer
        var position = 0

        var isAtEnd: Bool { position >= text.count }

        var isAtDigit: Bool {
            position < text.count && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[position])
        }

        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard position < text.count, UInt32(text[position]) == character.value else { return false }
            position += 1
            return true
        }

        mutating func number() -> Int64? {
            guard isAtDigit else { return nil }
            var value: Int64 = 0
            var count = 0
            while isAtDigit, count < 9 {
                value = value * 10 + Int64(text[position] - UInt8(ascii: "0"))
                position += 1
                count += 1
            }
            return value
        }

        /// Up to six digits as microseconds.
        mutating func fraction() -> Int64? {
            let start = position
            guard var value = number(), position - start <= 6 else { return nil }
            for _ in (position - start)..<6 { value *= 10 }
            return value
        }

        /// Seconds east of UTC: `+00`, `-03:30`, `+01:02:03`, `Z`, or nothing at all.
        mutating func offset() -> Int64? {
            if skip("Z") || isAtEnd { return 0 }
            let sign: Int64
            if skip("+") { sign = 1 } else if skip("-") { sign = -1 } else { return 0 }
            guard let hours = number() else { return nil }
            var seconds = hours * 3600
            if skip(":") {
                guard let minutes = number() else { return nil }
                seconds += minutes * 60
            }
            if skip(":") {
                guard let rest = number() else { return nil }
                seconds += rest
            }
            return sign * seconds
        }
    }
}
