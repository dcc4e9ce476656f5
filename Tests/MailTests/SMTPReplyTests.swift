import Testing

@testable import Mail

@Suite struct SMTPReplyTests {
    @Test func putsLinesTogetherHoweverTheyCome() throws {
        let text = "250-mail.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n354 go\r\n221\r\n"
        let whole = [
            SMTPReply(code: 250, lines: ["mail.example", "AUTH PLAIN LOGIN", "STARTTLS"]),
            SMTPReply(code: 354, lines: ["go"]), SMTPReply(code: 221, lines: [""]),
        ]
        for size in [1, 2, 7, text.utf8.count] {
            var parser = SMTPReply.Parser()
            var replies: [SMTPReply] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                replies += try parser.read(rest.prefix(size))
                rest = rest.dropFirst(size)
            }

            #expect(replies == whole, "\(size)")
            #expect(parser.isEmpty)
        }
    }

    @Test func readsAbilitiesInEitherSpelling() {
        let modern = SMTPAbilities(SMTPReply(code: 250, lines: ["me", "starttls", "AUTH plain LOGIN", "SMTPUTF8"]))
        let old = SMTPAbilities(SMTPReply(code: 250, lines: ["STARTTLS", "AUTH=LOGIN"]))

        #expect(modern.offersTLS && modern.takesUTF8)
        #expect(modern.authentication == ["PLAIN", "LOGIN"])
        #expect(!old.offersTLS && !old.takesUTF8)
        #expect(old.authentication == ["LOGIN"])
    }

    @Test func showsNoControlCharacterOfAServer() {
        let reply = SMTPReply(code: 550, lines: ["\u{1B}[31mno\u{7}", String(repeating: "x", count: 1000)])

        #expect(reply.summary.hasPrefix("550 ?[31mno? xxx"))
        #expect(reply.summary.count == 204)
    }
}
