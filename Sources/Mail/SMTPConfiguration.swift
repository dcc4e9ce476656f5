import Foundation

/// A mail server, as `MAIL_URL` names it.
package struct SMTPConfiguration: Sendable, Equatable {
    package enum Security: Sendable, Equatable {
        /// TLS from the first byte: `smtps`.
        case implicit
        /// STARTTLS: where the server offers it, or else not at all.
        case offered
        /// STARTTLS or nothing: a password must not be read on the way.
        case required
    }

    package struct Credentials: Sendable, Equatable {
        package let user: String
        package let password: String
    }

    package let host: String
    package let port: Int
    package let security: Security
    package let credentials: Credentials?
    /// A PEM file of the certificates to trust instead of the machine's.
    package let certificates: String?
    /// For the connection and for each answer.
    package var timeout = Duration.seconds(20)
    /// For a whole mail.
    package var deadline = Duration.seconds(60)

    /// - Parameters:
    ///   - url: `smtp://user:password@host:587` or `smtps://user:password@host:465`; user and password may be missing, and
    ///     special characters in them are percent-encoded.
    ///   - certificates: the path of a PEM file.
    /// - Throws: ``SMTPConfigurationError``, which never shows the password.
    package init(url: String, certificates: String? = nil) throws(SMTPConfigurationError) {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(),
            ["smtp", "smtps"].contains(scheme), let host = parts.host, !host.isEmpty, ["", "/"].contains(parts.path),
            parts.query == nil
        else { throw SMTPConfigurationError(message: "is not smtp://user:password@host:port or smtps://…") }
        if let user = parts.user, !user.isEmpty {
            guard let password = parts.password, !user.utf8.contains(0), !password.utf8.contains(0) else {
                throw SMTPConfigurationError(message: "has a user without a password")
            }
            credentials = Credentials(user: user, password: password)
        } else {
            credentials = nil
        }
        // Brackets are how a URL writes an IPv6 address.
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.certificates = certificates
        switch (scheme, credentials) {
        case ("smtps", _): security = .implicit
        case (_, nil): security = .offered
        default: security = .required
        }
        port = parts.port ?? (scheme == "smtps" ? 465 : credentials == nil ? 25 : 587)
    }
}

package struct SMTPConfigurationError: Error, Equatable, CustomStringConvertible {
    let message: String
    package var description: String { "MAIL_URL \(message)" }
}
