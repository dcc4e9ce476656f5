import Testing

@testable import Mail

/// Against servers that mean ill or are broken.
@Suite struct SMTPConversationTests {
    private func send(_ server: ScriptedServer, timeout: Duration = .seconds(20)) async throws -> SMTPError? {
        var configuration = try SMTPConfiguration(url: "smtp://127.0.0.1:\(server.port)")
        configuration.timeout = timeout
        return try await smtpError { [configuration] in try await SMTPClient(configuration).send(.sample()) }
    }

    @Test func believesNothingThatCameBeforeTLS() async throws {
        let server = try await ScriptedServer(greeting: "220 hello\r\n") { line in
            line == "STARTTLS" ? "220 go\r\n250-me\r\n250 AUTH PLAIN\r\n" : "250-me\r\n250 STARTTLS\r\n"
        }

        let error = try await send(server)

        #expect(error == .protocolFault("an answer that nobody asked for"))
        #expect(!server.lines.contains { $0.hasPrefix("MAIL") })
    }

    @Test(arguments: [
        "HTTP/1.1 400 Bad Request\r\n\r\n", "22 hello\r\n", "220_hello\r\n", "220-a\r\n250 b\r\n",
        String(repeating: "x", count: 5000),
    ])
    func talksToNobodyWhoDoesNotSpeakSMTP(_ greeting: String) async throws {
        let error = try await send(ScriptedServer(greeting: greeting))

        #expect(error?.description.hasPrefix("the mail server doesn't speak SMTP") == true)
    }

    @Test func waitsForNoAnswerWithoutEnd() async throws {
        let silent = try await ScriptedServer(greeting: nil)

        let error = try await send(silent, timeout: .milliseconds(200))

        #expect(error?.description.hasPrefix("the mail server is too slow") == true)
        #expect(error?.isFinal == false)
    }

    @Test func aGreetingOrALogInThatIsRefusedForGoodSaysNothingOfTheMail() async throws {
        let error = try await send(ScriptedServer(greeting: "554 no service for you\r\n"))

        #expect(error?.isFinal == false)
        #expect(error?.description.contains("554 no service for you") == true)
    }

    @Test func saysHELOToAServerThatKnowsNoEHLO() async throws {
        let server = try await ScriptedServer(greeting: "220 old\r\n") { line in
            switch line.prefix(4) {
            case "EHLO": "502 what?\r\n"
            case "DATA": "354 go\r\n"
            case _ where ["HELO", "MAIL", "RCPT", "QUIT", "."].contains(String(line.prefix(4))): "250 OK\r\n"
            default: ""
            }
        }

        let error = try await send(server)

        #expect(error == nil)
        #expect(server.lines.prefix(4).map { $0.prefix(4) } == ["EHLO", "HELO", "MAIL", "RCPT"])
    }

    @Test func aServerThatHangsUpIsTriedAgain() async throws {
        let server = try await ScriptedServer(greeting: "220 hello\r\n") {
            $0.hasPrefix("EHLO") ? "421 bye\r\n" : "221 bye\r\n"
        }

        let error = try await send(server)

        #expect(error?.isFinal == false)
    }
}
