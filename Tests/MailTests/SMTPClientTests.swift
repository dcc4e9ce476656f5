import Foundation
import TestSupport
import Testing

@testable import Mail

/// Against aiosmtpd.
@Suite struct SMTPClientTests {
    @Test func aServerTakesTheMailAsItIs() async throws {
        let server = try await MailServer("plain")
        let mail = try MailMessage.sample(text: ".\n..\n.a dot in front\n\nthe end\n.")

        try await server.client("smtp").send(mail)

        let taken = try #require(try server.mails.first)
        #expect(taken.from == "help@example.com")
        #expect(taken.to == ["joe@example.com"])
        #expect(taken.text == String(decoding: mail.bytes, as: UTF8.self))
        #expect(!taken.isEncrypted)
        #expect(taken.name == "[127.0.0.1]")
    }

    @Test(arguments: ["starttls", "starttls-login"])
    func encryptsAndLogsInWhereSTARTTLSIsOffered(_ mode: String) async throws {
        let certificate = try await Certificate.mine.value
        let server = try await MailServer(mode, certificate: certificate)
        let credentials = "\(MailServer.user):\(MailServer.password)"

        try await server.client("smtp", credentials: credentials, trusting: certificate).send(.sample())

        #expect(try server.mails.map(\.isEncrypted) == [true])
        #expect(try server.mails.map(\.user) == ["jane@example.com"])
    }

    @Test func encryptsWithoutBeingAskedWhereSTARTTLSIsOffered() async throws {
        let certificate = try await Certificate.mine.value
        let server = try await MailServer("starttls", certificate: certificate)

        try await server.client("smtp", trusting: certificate).send(.sample())

        #expect(try server.mails.map(\.isEncrypted) == [true])
    }

    @Test(arguments: ["tls", "tls-login"], ["localhost", "127.0.0.1"])
    func encryptsFromTheFirstByte(_ mode: String, at host: String) async throws {
        let certificate = try await Certificate.mine.value
        let server = try await MailServer(mode, certificate: certificate)
        let credentials = "\(MailServer.user):\(MailServer.password)"

        try await server.client("smtps", credentials: credentials, host: host, trusting: certificate).send(.sample())

        #expect(try server.mails.map(\.isEncrypted) == [true])
        #expect(try server.mails.map(\.user) == ["jane@example.com"])
    }

    @Test func sendsNoPasswordInTheClear() async throws {
        let server = try await MailServer("plain")

        let error = try await smtpError {
            try await server.client("smtp", credentials: "jane:secret").send(.sample())
        }

        #expect(error?.isFinal == false)
        #expect(error?.description.contains("offers no STARTTLS") == true)
        #expect(try server.mails == [])
    }

    @Test(arguments: ["starttls", "tls"])
    func trustsNoCertificateOfAStrangerNorOfAnotherHost(_ mode: String) async throws {
        let mine = try await Certificate.mine.value
        let anothers = try await Certificate.anothers.value
        let scheme = mode == "tls" ? "smtps" : "smtp"
        let stranger = try await MailServer(mode, certificate: mine)
        let misnamed = try await MailServer(mode, certificate: anothers)

        let errors = [
            try await smtpError { try await stranger.client(scheme).send(.sample()) },
            try await smtpError { try await misnamed.client(scheme, trusting: anothers).send(.sample()) },
        ]

        for error in errors {
            #expect(error?.isFinal == false)
            #expect(error?.description.hasPrefix("no TLS with the mail server") == true, "\(String(describing: error))")
        }
        #expect(try stranger.mails + misnamed.mails == [])
    }

    @Test func aWrongPasswordIsTheOperatorsAndNotTheMailsFault() async throws {
        let certificate = try await Certificate.mine.value
        let server = try await MailServer("starttls", certificate: certificate)

        let error = try await smtpError {
            try await server.client("smtp", credentials: "jane:hunter2", trusting: certificate).send(.sample())
        }

        #expect(error?.isFinal == false)
        #expect(error?.description.contains("refused the log-in: 535") == true)
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test(arguments: [
        ("450@example.com", false), ("550@example.com", true), ("text-451@example.com", false),
        ("text-554@example.com", true),
    ])
    func aRefusalIsForNowOrForGood(_ recipient: String, isFinal: Bool) async throws {
        let server = try await MailServer("plain")

        let error = try await smtpError { try await server.client("smtp").send(.sample(to: recipient)) }

        #expect(error?.isFinal == isFinal)
        #expect(error?.description.contains("the test wants it so") == true)
        #expect(try server.mails == [])
    }

    @Test func anAddressBeyondASCIINeedsAServerThatTakesIt() async throws {
        let able = try await MailServer("plain-utf8")
        let unable = try await MailServer("plain")
        let mail = try MailMessage.sample(to: "jürgen@bücher.example")

        try await able.client("smtp").send(mail)
        let error = try await smtpError { try await unable.client("smtp").send(mail) }

        #expect(try able.mails.map(\.to) == [["jürgen@bücher.example"]])
        #expect(error == .needsUTF8)
    }

    @Test func aServerThatIsAwayIsTriedAgain() async throws {
        let client = try SMTPClient(SMTPConfiguration(url: "smtp://127.0.0.1:\(FreePort.find())"))

        let error = try await smtpError { try await client.send(.sample()) }

        #expect(error?.isFinal == false)
        #expect(error?.description.hasPrefix("no connection to the mail server: 127.0.0.1") == true)
    }
}
