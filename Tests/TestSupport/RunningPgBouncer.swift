import Foundation

/// A PgBouncer in transaction mode before a PostgreSQL server.
package final class RunningPgBouncer: Sendable {
    /// How many connections to the server all clients of a database share.
    package static let poolSize = 6

    package let port: Int
    private let folder: String
    private let process = LockedProcess()

    /// Starts one before the server of that URL and waits until it accepts connections, those of `user` alone.
    package init(before server: String, user: String) async throws {
        guard let address = URLComponents(string: server), let host = address.host else { throw URLError(.badURL) }
        port = try FreePort.find()
        // Not below TMPDIR: as root it runs as another user, who has to reach it.
        folder = "/tmp/delightchat-pgbouncer-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "\"\(user)\" \"\"\n".write(toFile: folder + "/users", atomically: true, encoding: .utf8)
        try """
        [databases]
        * = host=\(host) port=\(address.port ?? 5432)
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = \(port)
        unix_socket_dir =
        auth_type = trust
        auth_file = \(folder)/users
        pool_mode = transaction
        default_pool_size = \(Self.poolSize)
        max_client_conn = 200
        """.write(toFile: folder + "/pgbouncer.ini", atomically: true, encoding: .utf8)
        try process.start(
            executable: "/usr/bin/env",
            arguments: ["pgbouncer", folder + "/pgbouncer.ini"],
            environment: ["PATH": "/usr/sbin:" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")],
            folder: "/tmp",
            user: "postgres"
        )
        try await process.listens(on: port)
    }

    deinit {
        process.kill()
        try? FileManager.default.removeItem(atPath: folder)  // a folder that stays is in nobody's way
    }

    /// The same database, reached through it.
    package func url(of direct: String) throws -> String {
        guard var parts = URLComponents(string: direct) else { throw URLError(.badURL) }
        (parts.host, parts.port) = ("127.0.0.1", port)
        guard let url = parts.string else { throw URLError(.badURL) }
        return url
    }

    package var log: String { process.log }
}
