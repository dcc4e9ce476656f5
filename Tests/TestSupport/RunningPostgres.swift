import Foundation

/// A PostgreSQL of one test's own, which may be stopped and started.
package final class RunningPostgres: Sendable {
    package let port: Int
    private let folder: String
    private let process = LockedProcess()

    package init() async throws {
        port = try FreePort.find()
        // Not below TMPDIR: the postgres user has to reach it, and a socket's path holds at most 107 bytes.
        folder = "/tmp/delightchat-postgres-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if geteuid() == 0, let entry = getpwnam("postgres") {
            chown(folder, entry.pointee.pw_uid, entry.pointee.pw_gid)
        }
        let initialiser = LockedProcess()
        try run(
            initialiser,
            [
                "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
                "--no-sync",
            ]
        )
        _ = try await eventually(within: .seconds(60)) { initialiser.isRunning ? nil : true }
        try await start()
    }

    deinit {
        process.stop(SIGQUIT)
        try? FileManager.default.removeItem(atPath: folder)  // a folder that stays is in nobody's way
    }

    package var url: String { "postgres://postgres@127.0.0.1:\(port)/postgres" }

    /// Ends it as an administrator would: connections are cut, transactions undone.
    package func stop() { process.stop(SIGINT) }

    /// Starts it, or starts it again.
    package func start() async throws {
        // Ninety processes have connections of their own.
        let connections = ProductShape.current == .functions ? 2000 : 100
        try run(
            process,
            [
                "postgres", "-D", data, "-p", String(port), "-c", "listen_addresses=127.0.0.1", "-c",
                "unix_socket_directories=\(folder)", "-c", "fsync=off", "-c", "max_connections=\(connections)", "-c",
                "jit=off",
            ]
        )
        try await process.listens(on: port)
    }

    private var data: String { folder + "/data" }

    private func run(_ process: LockedProcess, _ words: [String]) throws {
        try process.start(
            executable: "/usr/bin/env",
            arguments: words,
            environment: ["PATH": Self.path, "LC_ALL": "C.UTF-8"],
            folder: "/tmp",
            end: "INT",
            user: "postgres"
        )
    }

    /// Debian keeps every version's executables in a folder of its own, off PATH.
    private static var path: String {
        let versions = "/usr/lib/postgresql"
        // Elsewhere they are on PATH.
        let found = (try? FileManager.default.contentsOfDirectory(atPath: versions)) ?? []
        let newest = found.max { $0.compare($1, options: .numeric) == .orderedAscending }
        let own = newest.map { "\(versions)/\($0)/bin:" } ?? ""
        return own + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin")
    }
}
