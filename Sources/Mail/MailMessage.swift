package import Foundation

/// One mail of plain text to one person, as RFC 5322 wants it on the wire.
package struct MailMessage: Sendable, Equatable {
    /// Of the same message each time it is sent, so that a server can tell a repetition.
    package let id: UUID
    package let date: Date
    package let from: Mailbox
    package let to: Mailbox
    package let subject: String
    package let text: String

    package init(id: UUID, date: Date, from: Mailbox, to: Mailbox, subject: String, text: String) {
        self.id = id
        self.date = date
        self.from = from
        self.to = to
        self.subject = subject
        self.text = text
    }

    /// Headers and body with CRLF line ends, without the dots that SMTP doubles.
    ///
    /// Whatever the parts hold, there are these headers and no others: what isn't printable ASCII is encoded.
    package var bytes: [UInt8] {
        let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.map { Array(String($0).utf8) }
        let isPlain = lines.allSatisfy { line in
            line.count <= Self.longestLine && line.allSatisfy { (0x20..<0x7F).contains($0) || $0 == 0x09 }
        }
        let headers = [
            "Date: \(Self.spelled(date))",
            "From: \(HeaderText.mailbox(from))",
            "To: \(HeaderText.mailbox(to))",
            "Subject: \(HeaderText.unstructured(subject))",
            "Message-ID: <\(id.uuidString.lowercased())@\(from.isASCII ? from.domain : "localhost")>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=\(isPlain ? "us-ascii" : "utf-8")",
            "Content-Transfer-Encoding: \(isPlain ? "7bit" : "quoted-printable")",
        ]
        var bytes: [UInt8] = []
        for header in headers { bytes += Array(header.utf8) + Self.lineEnd }
        bytes += Self.lineEnd
        for line in lines { bytes += (isPlain ? line : QuotedPrintable.encode(line)) + Self.lineEnd }
        return bytes
    }

    /// RFC 5322 §2.1.1 wants no more than 998; shorter, because some servers count what they add.
    private static let longestLine = 900
    private static let lineEnd: [UInt8] = [0x0D, 0x0A]

    /// `Mon, 23 Nov 2026 05:00:00 +0000`, whatever the machine's language.
    static func spelled(_ date: Date) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents([.weekday, .day, .month, .year, .hour, .minute, .second], from: date)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ number: Int?) -> String {
            let text = String(number ?? 0)
            return text.count < 2 ? "0" + text : text
        }
        let day = "\(days[(parts.weekday ?? 1) - 1]), \(two(parts.day)) \(months[(parts.month ?? 1) - 1])"
        return "\(day) \(parts.year ?? 0) \(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) +0000"
    }
}
