/// Why a mail wasn't taken, without a password or a word of the mail.
package struct SMTPError: Error, Equatable, CustomStringConvertible {
    package let description: String
    /// Whether this mail will never be taken, however often it is tried.
    package let isFinal: Bool

    private init(_ description: String, isFinal: Bool = false) {
        self.description = description
        self.isFinal = isFinal
    }

    /// The server can't be reached, or is gone.
    static func connection(_ reason: String) -> SMTPError { SMTPError("no connection to the mail server: \(reason)") }

    static func overdue(_ what: String) -> SMTPError { SMTPError("the mail server is too slow: \(what)") }

    static func tls(_ reason: String) -> SMTPError { SMTPError("no TLS with the mail server: \(reason)") }

    static func protocolFault(_ what: String) -> SMTPError { SMTPError("the mail server doesn't speak SMTP: \(what)") }

    /// The server won't have us at all, which an operator can mend; the mail isn't at fault.
    static func turnedAway(_ step: String, _ reply: SMTPReply) -> SMTPError {
        SMTPError("the mail server refused \(step): \(reply.summary)")
    }

    static func unusable(_ reason: String) -> SMTPError { SMTPError("the mail server can't be used: \(reason)") }

    /// The server's word on this mail: 4xx is for now, 5xx for good (RFC 5321 §4.2.1).
    static func mail(_ step: String, _ reply: SMTPReply) -> SMTPError {
        SMTPError("the mail server refused \(step): \(reply.summary)", isFinal: (500..<600).contains(reply.code))
    }

    static let needsUTF8 = SMTPError("the mail server takes no address that isn't ASCII", isFinal: true)
}
