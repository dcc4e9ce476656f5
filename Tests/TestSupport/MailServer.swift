package import Foundation

/// aiosmtpd, a mail server that isn't ours, on a port of its own; see Tests/MailTests/Peers/receive.py.
package final class MailServer: Sendable {
    /// One mail as the server took it.
    package struct Taken: Decodable, Equatable, Sendable {
        package let from: String
        package let to: [String]
        package let content: Data
        package let isEncrypted: Bool
        package let user: String?
        package let name: String

        package var text: String { String(decoding: content, as: UTF8.self) }
    }

    package let port: Int
    private let process: LockedProcess

    /// Starts one; receive.py knows the words of `mode`.
    package init(_ mode: String, port: Int = 0, certificate: Certificate? = nil) async throws {
        // aiosmtpd is installed beside the BullMQ client.
        guard let python = ProcessInfo.processInfo.environment["TEST_PYTHON"] else { throw NoPython() }
        let process = LockedProcess()
        try process.start(
            executable: python,
            arguments: [Checkout.root + "/Tests/MailTests/Peers/receive.py", mode, String(port)]
                + (certificate.map { [$0.certificate, $0.key] } ?? []),
            environment: [:]
        )
        self.process = process
        self.port = try await eventually(otherwise: { process.log }) { Self.lines(process).first.flatMap { Int($0) } }
    }

    deinit { process.kill() }

    package var mails: [Taken] {
        get throws {
            try Self.lines(process).dropFirst().filter { $0.hasPrefix("{") }
                .map { try JSONDecoder().decode(Taken.self, from: Data($0.utf8)) }
        }
    }

    /// Whole lines only: the last one may still be on its way.
    private static func lines(_ process: LockedProcess) -> [String] {
        process.log.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    struct NoPython: Error, CustomStringConvertible {
        var description: String { "TEST_PYTHON is not set: these tests need the path of a python that has aiosmtpd" }
    }
}

/// A certificate for `localhost`, signed by itself, made for the tests of this process.
package struct Certificate: Sendable {
    package let certificate: String
    package let key: String

    package static let mine = Task { try make(for: "DNS:localhost,IP:127.0.0.1") }
    package static let anothers = Task { try make(for: "DNS:mail.example.com") }

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
        guard process.terminationStatus == 0 else { throw NotMade() }
        return made
    }

    struct NotMade: Error, CustomStringConvertible {
        var description: String { "openssl could not make a certificate" }
    }
}
