import Foundation
import Functions

/// The hours of a day in which campaigns send nothing.
struct QuietHours: Sendable {
    /// Minutes of the day; `to` before `from` is the next day's.
    private let from: Int
    private let to: Int

    /// - Parameter settings: the organisation's `quietHours`; `nil` where it has none.
    init?(_ settings: JSON?) {
        guard let from = settings?["from"]?.string.flatMap(Self.minutes),
            let to = settings?["to"]?.string.flatMap(Self.minutes)
        else { return nil }
        self.from = from
        self.to = to
    }

    /// When the quiet hours end that hold at `date` in the zone of a number; `nil` outside of them, and where the number tells no zone.
    func end(for phone: String?, at date: Date) -> Date? {
        guard let zone = phone.flatMap(DialingZone.zone) else { return nil }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        let clock = calendar.dateComponents([.hour, .minute], from: date)
        let minute = (clock.hour ?? 0) * 60 + (clock.minute ?? 0)
        let isQuiet = from < to ? (from..<to).contains(minute) : minute >= from || minute < to
        guard isQuiet else { return nil }
        return calendar.nextDate(
            after: date,
            matching: DateComponents(hour: to / 60, minute: to % 60, second: 0),
            matchingPolicy: .nextTime
        )
    }

    private static func minutes(_ text: String) -> Int? {
        let parts = text.split(separator: ":").compactMap { Int($0) }
        return parts.count == 2 ? parts[0] * 60 + parts[1] : nil
    }
}

/// The time zone of a number whose country has one; larger countries' numbers tell none.
enum DialingZone {
    static func zone(of phone: String) -> TimeZone? {
        let digits = phone.dropFirst()
        // ITU-T E.164 country codes have one to three digits and none begins another.
        for length in [3, 2] {
            if let name = names[String(digits.prefix(length))] { return TimeZone(identifier: name) }
        }
        return nil
    }

    private static let names = [
        "20": "Africa/Cairo", "27": "Africa/Johannesburg", "30": "Europe/Athens", "31": "Europe/Amsterdam",
        "32": "Europe/Brussels", "33": "Europe/Paris", "36": "Europe/Budapest", "39": "Europe/Rome",
        "40": "Europe/Bucharest", "41": "Europe/Zurich", "43": "Europe/Vienna", "44": "Europe/London",
        "45": "Europe/Copenhagen", "46": "Europe/Stockholm", "47": "Europe/Oslo", "48": "Europe/Warsaw",
        "49": "Europe/Berlin", "51": "America/Lima", "54": "America/Argentina/Buenos_Aires", "57": "America/Bogota",
        "58": "America/Caracas", "60": "Asia/Kuala_Lumpur", "63": "Asia/Manila", "65": "Asia/Singapore",
        "66": "Asia/Bangkok", "81": "Asia/Tokyo", "82": "Asia/Seoul", "84": "Asia/Ho_Chi_Minh", "86": "Asia/Shanghai",
        "90": "Europe/Istanbul", "91": "Asia/Kolkata", "92": "Asia/Karachi", "94": "Asia/Colombo",
        "212": "Africa/Casablanca", "213": "Africa/Algiers", "216": "Africa/Tunis", "233": "Africa/Accra",
        "234": "Africa/Lagos", "251": "Africa/Addis_Ababa", "254": "Africa/Nairobi", "255": "Africa/Dar_es_Salaam",
        "256": "Africa/Kampala", "352": "Europe/Luxembourg", "353": "Europe/Dublin", "354": "Atlantic/Reykjavik",
        "355": "Europe/Tirane", "356": "Europe/Malta", "357": "Asia/Nicosia", "358": "Europe/Helsinki",
        "359": "Europe/Sofia", "370": "Europe/Vilnius", "371": "Europe/Riga", "372": "Europe/Tallinn",
        "380": "Europe/Kyiv", "381": "Europe/Belgrade", "385": "Europe/Zagreb", "386": "Europe/Ljubljana",
        "420": "Europe/Prague", "421": "Europe/Bratislava", "502": "America/Guatemala", "506": "America/Costa_Rica",
        "507": "America/Panama", "598": "America/Montevideo", "852": "Asia/Hong_Kong", "880": "Asia/Dhaka",
        "886": "Asia/Taipei", "961": "Asia/Beirut", "962": "Asia/Amman", "965": "Asia/Kuwait", "966": "Asia/Riyadh",
        "971": "Asia/Dubai", "972": "Asia/Jerusalem", "974": "Asia/Qatar", "977": "Asia/Kathmandu",
    ]
}
