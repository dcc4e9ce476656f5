import Foundation
import Mail
import TestSupport

extension MailServer {
    static let user = "jane%40example.com"
    static let password = "pass%3A%20w%C3%B6rd%25"

    func client(_ scheme: String, credentials: String = "", host: String = "localhost", trusting: Certificate? = nil)
        throws -> SMTPClient
    {
        let sign = credentials.isEmpty ? "" : credentials + "@"
        return SMTPClient(
            try SMTPConfiguration(url: "\(scheme)://\(sign)\(host):\(port)", certificates: trusting?.certificate)
        )
    }
}

extension MailMessage {
    /// A mail of the tests.
    static func sample(
        to recipient: String = "joe@example.com",
        subject: String = "Hello",
        text: String = "Hello Joe,\n\nthis is a mail."
    ) throws -> MailMessage {
        MailMessage(
            id: UUID(),
            date: Date(timeIntervalSince1970: 1_795_410_000),
            from: try Mailbox(parsing: "DelightChat <help@example.com>"),
            to: try Mailbox(address: recipient),
            subject: subject,
            text: text
        )
    }
}

/// What `body` throws as an ``SMTPError``; `nil` when it throws nothing.
func smtpError(_ body: () async throws -> Void) async throws -> SMTPError? {
    do {
        try await body()
        return nil
    } catch let error as SMTPError {
        return error
    }
}
