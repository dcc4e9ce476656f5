import Foundation
import Mail
import TestSupport
import Testing

/// aiosmtpd, a mail server that isn't ours, on a port of its own; see Peers/receive.py.
final class MailServer: Sendable {
    /// One mail as the server took it.
    struct Taken: Decodable, Equatable {
        let from: String
        let to: [String]
        let content: Data
        let isEncrypted: Bool
        let user: String?
        let name: String

        var text: String { String(decoding: content, as: UTF8.self) }
    }

    let port: Int
    private let process: LockedProcess

    /// Starts one; receive.py knows the words of `mode`.
    init(_ mode: String, certificate: Certificate? = nil) async throws {
        let python = try #require(
            ProcessInfo.processInfo.environment["TEST_PYTHON"],
            "TEST_PYTHON is not set: these tests need the path of a python that has aiosmtpd"
        )
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Peers/receive.py")
            .path
        let process = LockedProcess()
        try process.start(
            executable: python,
            arguments: [script, mode] + (certificate.map { [$0.certificate, $0.key] } ?? []),
            environment: [:]
        )
        self.process = process
        port = try await eventually(otherwise: { process.log }) { Self.lines(process).first.flatMap { Int($0) } }
    }

    deinit { process.kill() }

    var mails: [Taken] {
        get throws {
            try Self.lines(process).dropFirst().filter { $0.hasPrefix("{") }
                .map { try JSONDecoder().decode(Taken.self, from: Data($0.utf8)) }
        }
    }

    /// Whole lines only: the last one may still be on its way.
    private static func lines(_ process: LockedProcess) -> [String] {
        process.log.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

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

/// A certificate for `localhost`, signed by itself, made for the tests of this process.
struct Certificate: Sendable {
    let certificate: String
    let key: String

    static let mine = Task { try make(for: "DNS:localhost,IP:127.0.0.1") }
    static let anothers = Task { try make(for: "DNS:mail.example.com") }

    private static func make(for names: String) throws -> Certificate {
        let folder = FileManager.default.temporaryDirectory.appending(path: "mail-tests-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let made = Certificate(certificate: folder + "/certificate.pem", key: folder + "/key.pem")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2",
            "-subj", "/CN=tests", "-addext", "subjectAltName=\(names)", "-keyout", made.key, "-out", made.certificate,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl could not make a certificate")
        return made
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
