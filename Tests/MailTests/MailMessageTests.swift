import Foundation
import Testing

@testable import Mail

@Suite struct MailMessageTests {
    private func parts(_ mail: MailMessage) throws -> (headers: [String], body: String) {
        let text = String(decoding: mail.bytes, as: UTF8.self)
        let end = try #require(text.firstRange(of: "\r\n\r\n"))
        return (text[..<end.lowerBound].components(separatedBy: "\r\n"), String(text[end.upperBound...]))
    }

    @Test func plainASCIIStaysReadable() throws {
        let mail = try MailMessage.sample(subject: "Hello", text: "See https://help.example/?token=a=b\r\n.")

        let (headers, body) = try parts(mail)

        #expect(
            headers == [
                "Date: Mon, 23 Nov 2026 05:00:00 +0000",
                "From: \"DelightChat\" <help@example.com>",
                "To: joe@example.com",
                "Subject: Hello",
                "Message-ID: <\(mail.id.uuidString.lowercased())@example.com>",
                "Auto-Submitted: auto-generated",
                "MIME-Version: 1.0",
                "Content-Type: text/plain; charset=us-ascii",
                "Content-Transfer-Encoding: 7bit",
            ]
        )
        #expect(body == "See https://help.example/?token=a=b\r\n.\r\n")
    }

    @Test func everythingElseIsEncoded() throws {
        let mail = try MailMessage.sample(
            subject: "Grüße 🚇",
            text: "Grüße = a trailing blank \n" + String(repeating: "ü", count: 40)
        )

        let (headers, body) = try parts(mail)

        #expect(headers.contains("Subject: =?utf-8?B?R3LDvMOfZSDwn5qH?="))
        #expect(headers.contains("Content-Transfer-Encoding: quoted-printable"))
        #expect(body.hasPrefix("Gr=C3=BC=C3=9Fe =3D a trailing blank=20\r\n=C3=BC"))
        #expect(body.components(separatedBy: "\r\n").allSatisfy { $0.utf8.count <= 76 })
        #expect(body.replacing("=\r\n", with: "").hasSuffix(String(repeating: "=C3=BC", count: 40) + "\r\n"))
    }

    @Test(arguments: [
        "a\r\nBcc: eve@example.com", "a\nBcc: eve@example.com", "a\rBcc: eve@example.com\r\n\r\nbody", "a\u{0}b",
        "\u{2028}Bcc: eve@example.com", "\u{85}Bcc: eve@example.com", "=?utf-8?Q?a=0ABcc:_eve?=",
        String(repeating: "long 🚇\r\nBcc: eve@example.com", count: 5),
    ])
    func nothingGetsAHeaderOfItsOwn(_ text: String) throws {
        let mail = MailMessage(
            id: UUID(),
            date: Date(),
            from: try Mailbox(name: text, address: "help@example.com"),
            to: try Mailbox(name: text, address: "joe@example.com"),
            subject: text,
            text: text
        )

        let (headers, _) = try parts(mail)

        let names = headers.filter { !$0.hasPrefix(" ") }.map { $0.prefix { $0 != ":" } }
        #expect(
            names == [
                "Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
                "Content-Transfer-Encoding",
            ]
        )
        #expect(headers.allSatisfy { $0.utf8.count <= 998 && $0.utf8.allSatisfy { (0x20..<0x7F).contains($0) } })
    }

    @Test func encodedWordsHoldWholeCharacters() {
        let text = String(repeating: "🚇é", count: 60)

        let words = HeaderText.unstructured(text).components(separatedBy: "\r\n ")

        #expect(words.count > 3)
        #expect(words.allSatisfy { $0.count <= 75 })
        let decoded = words.map { word in
            Data(base64Encoded: String(word.dropFirst(10).dropLast(2))).flatMap { String(data: $0, encoding: .utf8) }
        }
        #expect(decoded.compactMap { $0 }.joined() == text)
    }

    @Test(arguments: [
        ("jane@example.com", nil, "jane@example.com"), ("Jane Doe <jane@example.com>", "Jane Doe", "jane@example.com"),
        ("\"Doe, Jane\" <jane@example.com>", "Doe, Jane", "jane@example.com"),
        (" <jane@localhost> ", nil, "jane@localhost"),
    ])
    func readsASender(_ text: String, name: String?, address: String) throws {
        let mailbox = try Mailbox(parsing: text)

        #expect(mailbox == (try Mailbox(name: name, address: address)))
    }

    @Test(arguments: [
        "", "jane", "jane@", "@example.com", "a b@example.com", "a@b@c", "jane@example.com> <eve@example.com",
        "jane@example.com\r\nRCPT TO:<eve@example.com>", "jane@exa\u{0}mple.com",
    ])
    func refusesWhatIsNoAddress(_ text: String) {
        #expect(throws: MailboxError.self) { try Mailbox(address: text) }
    }
}
