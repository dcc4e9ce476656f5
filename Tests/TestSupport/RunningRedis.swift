import Foundation

/// A Redis of one test's own, which loses no acknowledged write and may be killed.
package final class RunningRedis: Sendable {
    package let port: Int
    private let folder: String
    private let process = LockedProcess()
    private let encrypts: Bool

    /// Starts it; with `encrypts` it is reached by TLS alone, under a certificate made on the spot for `localhost`.
    package init(encrypts: Bool = false) async throws {
        self.encrypts = encrypts
        port = try FreePort.find()
        folder = NSTemporaryDirectory() + "delightchat-redis-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if encrypts {
            let made = try await Command.shell(
                """
                openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \\
                    -keyout '\(folder)/key.pem' -out '\(certificate)'
                """
            )
            guard made.status == 0 else { throw NotMade(errors: made.errors) }
        }
        try await start()
    }

    deinit {
        process.kill()
        try? FileManager.default.removeItem(atPath: folder)  // a folder that stays is in nobody's way
    }

    package var url: String {
        encrypts ? "rediss://localhost:\(port)?cafile=\(certificate)" : "redis://127.0.0.1:\(port)"
    }

    /// The PEM file of its certificate.
    package var certificate: String { folder + "/certificate.pem" }

    private struct NotMade: Error {
        let errors: String
    }

    /// Ends it as a crash would.
    package func kill() { process.kill() }

    /// Starts it, or starts it again with what it had written.
    package func start() async throws {
        try process.start(
            executable: "/usr/bin/env",
            arguments: [
                "redis-server", "--port", encrypts ? "0" : String(port), "--bind", "127.0.0.1", "--dir", folder,
                "--save", "",
                "--appendonly", "yes",
                "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--daemonize", "no",
            ]
                + (encrypts
                    ? [
                        "--tls-port", String(port), "--tls-cert-file", certificate, "--tls-key-file",
                        folder + "/key.pem",
                        "--tls-auth-clients", "no",
                    ] : []),
            environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""]
        )
        try await process.listens(on: port)
    }
}
