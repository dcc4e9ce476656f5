import Foundation

/// A Redis of one test's own, which loses no acknowledged write and may be killed.
package final class RunningRedis: Sendable {
    package let port: Int
    private let folder: String
    private let process = LockedProcess()

    package init() async throws {
        port = try FreePort.find()
        folder = NSTemporaryDirectory() + "delightchat-redis-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try await start()
    }

    deinit {
        process.kill()
        try? FileManager.default.removeItem(atPath: folder)  // a folder that stays is in nobody's way
    }

    package var url: String { "redis://127.0.0.1:\(port)" }

    /// Ends it as a crash would.
    package func kill() { process.kill() }

    /// Starts it, or starts it again with what it had written.
    package func start() async throws {
        try process.start(
            executable: "/usr/bin/env",
            arguments: [
                "redis-server", "--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
                "--appendonly", "yes",
                "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--daemonize", "no",
            ],
            environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""]
        )
        try await process.listens(on: port)
    }
}
