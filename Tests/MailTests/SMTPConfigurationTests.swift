import Testing

@testable import Mail

@Suite struct SMTPConfigurationTests {
    @Test(arguments: [
        ("smtp://mail.example", 25, SMTPConfiguration.Security.offered),
        ("smtp://jane:secret@mail.example", 587, .required),
        ("smtp://mail.example:2525", 2525, .offered),
        ("smtps://mail.example", 465, .implicit),
        ("SMTPS://jane:secret@mail.example:466/", 466, .implicit),
    ])
    func theSchemeAndAPasswordDecide(_ url: String, port: Int, security: SMTPConfiguration.Security) throws {
        let configuration = try SMTPConfiguration(url: url)

        #expect(configuration.host == "mail.example")
        #expect(configuration.port == port)
        #expect(configuration.security == security)
    }

    @Test func credentialsAreDecoded() throws {
        let configuration = try SMTPConfiguration(url: "smtps://jane%40example.com:p%C3%A4ss%3A%2F@[::1]")

        #expect(configuration.credentials == .init(user: "jane@example.com", password: "päss:/"))
        #expect(configuration.host == "::1")
    }

    @Test(arguments: ["http://mail.example", "smtp://", "smtp:mail", "smtp://h/path", "smtp://h?x=1", "smtp://jane@h"])
    func refusesWhatItCannotRead(_ url: String) {
        #expect(throws: SMTPConfigurationError.self) { try SMTPConfiguration(url: url) }
    }
}
