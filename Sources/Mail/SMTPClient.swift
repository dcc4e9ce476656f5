import Foundation

/// Gives mails to a server by SMTP (RFC 5321), each over a connection of its own.
package struct SMTPClient: Sendable {
    private let configuration: SMTPConfiguration

    package init(_ configuration: SMTPConfiguration) {
        self.configuration = configuration
    }

    /// Gives one mail to the server.
    ///
    /// Returning means that the server has taken the responsibility for it. When the connection breaks after the text has
    /// been sent the server may have it all the same: sent again it arrives twice, with one Message-ID.
    ///
    /// - Throws: ``SMTPError``.
    package func send(_ message: MailMessage) async throws {
        let conversation = try await SMTPConversation.open(configuration)
        do {
            try await withTaskCancellationHandler {
                try await give(message, by: conversation)
            } onCancel: {
                conversation.cut()
            }
        } catch {
            conversation.cut()
            throw error
        }
        // The mail is the server's since its last answer: whatever becomes of the farewell.
        _ = try? await conversation.ask("QUIT")
        conversation.cut()
    }

    private func give(_ message: MailMessage, by conversation: SMTPConversation) async throws {
        if case .implicit = configuration.security { try await conversation.startTLS() }
        let greeting = try await conversation.awaitReply()
        guard greeting.code == 220 else { throw SMTPError.turnedAway("the connection", greeting) }
        var abilities = try await hello(conversation)
        if configuration.security != .implicit {
            if abilities.offersTLS {
                let reply = try await conversation.ask("STARTTLS")
                guard reply.code == 220 else { throw SMTPError.turnedAway("STARTTLS", reply) }
                try await conversation.startTLS()
                // What it said before was anybody's word.
                abilities = try await hello(conversation)
            } else if configuration.security == .required {
                throw SMTPError.unusable("it offers no STARTTLS, and a password is not sent in the clear")
            }
        }
        if let credentials = configuration.credentials {
            try await authenticate(credentials, abilities, conversation)
        }
        let needsUTF8 = !message.from.isASCII || !message.to.isASCII
        guard !needsUTF8 || abilities.takesUTF8 else { throw SMTPError.needsUTF8 }
        let from = "MAIL FROM:<\(message.from.address)>" + (needsUTF8 ? " SMTPUTF8" : "")
        try await mail("the sender", by: conversation.ask(from))
        try await mail("the recipient", by: conversation.ask("RCPT TO:<\(message.to.address)>"))
        let go = try await conversation.ask("DATA")
        guard go.code == 354 else { throw SMTPError.mail("the text", go) }
        try await mail("the mail", by: conversation.ask(bytes: Self.stuffed(message.bytes)))
    }

    private func mail(_ step: String, by reply: SMTPReply) throws(SMTPError) {
        guard (200..<300).contains(reply.code) else { throw .mail(step, reply) }
    }

    private func hello(_ conversation: SMTPConversation) async throws -> SMTPAbilities {
        let reply = try await conversation.ask("EHLO \(conversation.name)")
        if reply.code == 250 { return SMTPAbilities(reply) }
        let plain = try await conversation.ask("HELO \(conversation.name)")
        guard plain.code == 250 else { throw SMTPError.turnedAway("the greeting", plain) }
        return SMTPAbilities(SMTPReply(code: 250, lines: []))
    }

    private func authenticate(
        _ credentials: SMTPConfiguration.Credentials,
        _ abilities: SMTPAbilities,
        _ conversation: SMTPConversation
    ) async throws {
        func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
        var reply: SMTPReply
        if abilities.authentication.contains("PLAIN") {
            let secret = base64("\u{0}\(credentials.user)\u{0}\(credentials.password)")
            reply = try await conversation.ask("AUTH PLAIN \(secret)")
        } else if abilities.authentication.contains("LOGIN") {
            reply = try await conversation.ask("AUTH LOGIN")
            for answer in [credentials.user, credentials.password] where reply.code == 334 {
                reply = try await conversation.ask(base64(answer))
            }
        } else {
            throw SMTPError.unusable("it offers neither AUTH PLAIN nor AUTH LOGIN")
        }
        guard reply.code == 235 else { throw SMTPError.turnedAway("the log-in", reply) }
    }

    /// A text as DATA takes it: a dot that begins a line is doubled, and a lone dot ends it (RFC 5321 §4.5.2).
    static func stuffed(_ text: [UInt8]) -> [UInt8] {
        let dot = UInt8(ascii: ".")
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count + 8)
        var isAtStart = true
        for byte in text {
            if isAtStart, byte == dot { bytes.append(dot) }
            bytes.append(byte)
            isAtStart = byte == 0x0A
        }
        if !isAtStart { bytes += [0x0D, 0x0A] }
        return bytes + [dot, 0x0D, 0x0A]
    }
}
