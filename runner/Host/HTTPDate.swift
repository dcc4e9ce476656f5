import Foundation
import Synchronization

/// The time as the header `Date` has it (RFC 9110, section 5.6.7), made once a second.
package enum HTTPDate {
    private struct Made {
        var second = -1
        var text = ""
    }
    private static let made = Mutex(Made())

    package static var now: String {
        let second = time(nil)
        return made.withLock { made in
            if made.second != second { made = Made(second: second, text: text(of: second)) }
            return made.text
        }
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, of seconds since 1970.
    static func text(of second: Int) -> String {
        var (second, parts) = (second, tm())
        gmtime_r(&second, &parts)
        func digits(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(digits).joined(separator: ":")
        let date = "\(digits(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(1900 + parts.tm_year)"
        return "\(days[Int(parts.tm_wday)]), \(date) \(clock) GMT"
    }

    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
}
