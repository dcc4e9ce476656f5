import Foundation
import Postgres
import TestSupport
import Testing

/// Mails on their way out of the running product.
@Suite struct MailTests {
    private func invite(_ organisation: Organisation, _ email: String) async throws -> String {
        let answer = try await organisation.api.post("/orgs/users/invites", ["email": email, "role": "agent"])
        guard let url = answer.string("inviteUrl") else { throw UnexpectedAnswer(answer) }
        return url
    }

    @Test func aMailReachesTheServerByTLSAndWithALogIn() async throws {
        let certificate = try await Certificate.mine.value
        let server = try await MailServer("starttls", certificate: certificate)
        let host = try await RunningHost(settings: [
            "MAIL_URL": "smtp://jane%40example.com:pass%3A%20w%C3%B6rd%25@localhost:\(server.port)",
            "MAIL_CA_FILE": certificate.certificate, "MAIL_FROM": "Help & Co <help@example.com>",
        ])
        let acme = try await Organisation.signUp(host.api, name: "Grüße\nBcc: eve@example.com")

        let url = try await invite(acme, "joe@example.com")
        let mail = try await eventually { try server.mails.first }

        #expect(mail.from == "help@example.com")
        #expect(mail.to == ["joe@example.com"])
        #expect(mail.isEncrypted)
        #expect(mail.user == "jane@example.com")
        #expect(mail.text.contains("\r\nFrom: \"Help & Co\" <help@example.com>\r\n"))
        let headers = mail.text.prefix(upTo: try #require(mail.text.firstRange(of: "\r\n\r\n")).lowerBound)
        #expect(!headers.contains("\r\nBcc:"))
        // The organisation's name isn't ASCII, so the text is quoted-printable.
        let text = mail.text.replacing("=\r\n", with: "").replacing("=3D", with: "=")
        #expect(text.contains("\r\n\(url)\r\n"))
        try await host.becomeIdle()
        #expect(try server.mails.count == 1)
        #expect(try await host.database.texts("SELECT concat(status, content) AS value FROM mails") == ["sent"])
        host.stop()
    }

    @Test func aMailWaitsForAServerThatIsAwayAndOneThatIsRefusedEnds() async throws {
        let port = try FreePort.find()
        let host = try await RunningHost(settings: ["MAIL_URL": "smtp://127.0.0.1:\(port)"])
        let acme = try await Organisation.signUp(host.api)
        func statuses() async throws -> [String] {
            try await host.database.texts(
                "SELECT concat_ws(' ', status, error IS NULL) AS value FROM mails ORDER BY recipient"
            )
        }

        _ = try await invite(acme, "550@example.com")
        _ = try await invite(acme, "joe@example.com")
        _ = try await eventually { try await statuses() == ["queued f", "queued f"] ? true : nil }
        // Killed between two tries, with both of them still to be sent.
        host.kill()
        let server = try await MailServer("plain", port: port)
        try await host.start()
        _ = try await eventually(within: .seconds(120)) {
            try await statuses() == ["failed f", "sent t"] ? true : nil
        }

        #expect(try server.mails.map(\.to) == [["joe@example.com"]])
        host.stop()
    }

    @Test func aHostThatCannotSendSaysSoAtItsStart() async throws {
        let host = try await RunningHost(settings: ["MAIL_DIR": ""], hosting: ["--all"])

        #expect(host.log.contains("neither MAIL_URL nor MAIL_DIR is set"))
        host.stop()
        await #expect(throws: (any Error).self) {
            try await RunningHost(
                settings: ["MAIL_URL": "http://mail.example", "MAIL_FROM": "nobody"],
                hosting: ["--all"]
            )
        }
    }

    @Test func runnerUpWritesMailsIntoItsFolder() async throws {
        let up = try await RunningUp()
        let acme = try await Organisation.signUp(up.api)

        let url = try await invite(acme, "joe@example.com")

        let folder = up.folder + "/.runner/mail"
        let text = try await eventually {
            let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []  // made by the first mail
            return try files.first { $0.hasSuffix(".eml") }
                .map { try String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8) }
        }
        #expect(text.contains("\r\n\(url)\r\n"))
        #expect(up.log.contains("  mail     each one is a file in \(folder)"))
        up.stop()
    }

    @Test func publicEndpointsSayWhenToComeAgain() async throws {
        let host = try await RunningHost(settings: [
            "SIGNUP_LIMIT_ADDRESS": "1", "TOKEN_LIMIT_ADDRESS": "1", "RESET_LIMIT_EMAIL": "1",
        ])
        let email = "jane@example.com"
        let bodies = [
            (
                "/auth/signup", ["organisationName": "Acme", "name": "Jane", "email": email, "password": "12345678"],
                201
            ),
            ("/auth/forgot-password", ["email": email], 202),
            ("/auth/reset-password", ["token": "x", "password": "12345678"], 401),
        ]
        for (path, body, status) in bodies { #expect(try await host.api.post(path, body).status == status, "\(path)") }

        let others = [
            ("/auth/refresh", ["refreshToken": "x"]),
            ("/auth/accept-invite", ["token": "x", "name": "x", "password": "12345678"]),
        ]
        for (path, body) in bodies.map({ ($0.0, $0.1) }) + others {
            let answer = try await host.api.post(path, body)
            #expect(answer.problem == "429", "\(path)")
            #expect((1...900).contains(Int(answer.headers["retry-after"] ?? "") ?? 0), "\(path)")
        }
        host.stop()
    }
}
