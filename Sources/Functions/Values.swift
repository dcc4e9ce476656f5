package import Foundation
package import Postgres

/// A phone number in the one form in which it is stored and compared.
package enum PhoneNumber {
    /// `+` and 7…15 digits: spaces, dots, dashes and brackets are dropped and a leading `00` becomes `+`.
    package static func normalised(_ text: String) -> String? {
        var digits = ""
        for character in text.unicodeScalars {
            switch character {
            case " ", ".", "-", "(", ")", "[", "]", "\u{A0}", "\u{2010}", "\u{2011}", "\u{2012}", "\u{2013}": continue
            default: digits.unicodeScalars.append(character)
            }
        }
        if digits.hasPrefix("00") { digits = "+" + digits.dropFirst(2) }
        let number = digits.dropFirst().utf8
        guard digits.hasPrefix("+"), (7...15).contains(number.count), number.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return digits
    }
}

/// RFC 3339 times with any offset, read to the millisecond and beyond.
package enum RFC3339 {
    package static func parse(_ text: String) -> Date? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            bytes[10] | 0x20 == UInt8(ascii: "t") || bytes[10] == UInt8(ascii: " "),
            bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":")
        else { return nil }
        guard let year = number(bytes[0..<4]), let month = number(bytes[5..<7]), let day = number(bytes[8..<10]),
            let hour = number(bytes[11..<13]), let minute = number(bytes[14..<16]), let second = number(bytes[17..<19]),
            let days = days(year, month, day), hour < 24, minute < 60, second <= 60
        else { return nil }
        var at = 19
        var fraction = 0.0
        if bytes[at] == UInt8(ascii: ".") {
            var scale = 0.1
            at += 1
            let start = at
            while at < bytes.count, (0x30...0x39).contains(bytes[at]) {
                fraction += Double(bytes[at] - 0x30) * scale
                scale /= 10
                at += 1
            }
            guard at > start, at < bytes.count else { return nil }
        }
        var offset = 0
        if bytes[at] | 0x20 == UInt8(ascii: "z") {
            at += 1
        } else {
            guard bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-"), bytes.count >= at + 6,
                bytes[at + 3] == UInt8(ascii: ":"), let hours = number(bytes[at + 1..<at + 3]),
                let minutes = number(bytes[at + 4..<at + 6]), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * 60 * (bytes[at] == UInt8(ascii: "-") ? -1 : 1)
            at += 6
        }
        guard at == bytes.count else { return nil }
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
        return Date(timeIntervalSince1970: Double(seconds) + fraction)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        var value = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return value
    }

    /// Days since 1970-01-01, or `nil` where the calendar has no such day.
    static func days(_ year: Int, _ month: Int, _ day: Int) -> Int? {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard year >= 1, (1...12).contains(month), (1...lengths[month - 1]).contains(day) else { return nil }
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

/// A bound of a time range in a query: an instant, or a whole day of the organisation's zone.
package enum QueryTime: Sendable, Decodable, Hashable {
    case instant(Date)
    /// `2026-11-22`
    case day(String)

    package init?(_ text: String) {
        if let date = RFC3339.parse(text) {
            self = .instant(date)
            return
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2,
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]),
            RFC3339.days(year, month, day) != nil
        else { return nil }
        self = .day(text)
    }

    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let time = QueryTime(text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "is not a time"))
        }
        self = time
    }

    /// The instant as an SQL expression; `zone` is an expression for the organisation's zone.
    package func sql(zone: SQL) -> SQL {
        switch self {
        case .instant(let date): "\(date)::timestamptz"
        case .day(let day): "(\(day)::date::timestamp AT TIME ZONE (\(raw: zone)))"
        }
    }
}

/// A member of a PUT or PATCH: left out, cleared, or given.
package enum Patch<Value: Sendable>: Sendable {
    case unchanged
    case cleared
    case value(Value)

    /// What stands afterwards, if before it was `old`.
    package func applied(to old: Value?) -> Value? {
        switch self {
        case .unchanged: old
        case .cleared: nil
        case .value(let new): new
        }
    }

    package var isUnchanged: Bool {
        if case .unchanged = self { true } else { false }
    }

    package var given: Value? {
        if case .value(let value) = self { value } else { nil }
    }
}

/// What stands for a member that isn't there; for ``ShapeDecoder``.
protocol AbsentDecodable {
    static var absent: Self { get }
}

extension Patch: AbsentDecodable {
    static var absent: Patch { .unchanged }
}

extension Patch: Decodable where Value: Decodable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        self = try container.decodeNil() ? .cleared : .value(container.decode(Value.self))
    }
}

extension Patch: Equatable where Value: Equatable {}
