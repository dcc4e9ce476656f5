import Foundation

/// A server that the fleet starts for one checkout and stops with itself.
package protocol PrivateServer: Sendable {
    /// `postgres` or `redis`: names its log, its pid file and its lines on the terminal.
    var name: String { get }
    /// The signal on which it ends in order.
    var stopSignal: Int32 { get }

    /// Makes its data folder when there is none, starts it and returns when it answers.
    func start(_ console: Console) async throws -> ChildProcess
}

extension PrivateServer {
    /// Ends the server in order; after twenty seconds, at once (both recover from that).
    @discardableResult
    func stop(_ process: ChildProcess, state: StateFolder) async -> ProcessEnd {
        let status = await process.stop(stopSignal, grace: .seconds(20))
        state.forget(name)
        return status
    }
}

/// Where the private servers' files lie. That is under `.runner/`, unless something there stands against it:
/// a unix socket's path holds 107 bytes, and as root PostgreSQL runs as a user who may not be let into the checkout.
package struct ServerPlaces: Sendable, Equatable {
    package let postgresData: String
    package let postgresSockets: String
    package let redisData: String
    package let redisSocket: String
    /// Whom PostgreSQL runs as, when not as ourselves.
    package let postgresUser: String?

    static let longestSocketPath = 107

    /// Whether the sockets of both servers fit below this folder.
    static func socketsFit(below folder: String) -> Bool {
        "\(folder)/postgres/.s.PGSQL.5432".utf8.count <= longestSocketPath
    }

    /// Makes the folders and finds out who can reach them.
    package init(_ state: StateFolder, environment: [String: String]) async throws {
        let inside = "\(state.path)/run"
        postgresUser = StateFolder.isRoot ? "postgres" : nil
        redisData = state.redis
        try Files.makeFolder(redisData, mode: 0o700)

        var run = inside
        var data = state.postgres
        if let postgresUser {
            let reachable = try await Self.makeReachable("\(inside)/postgres", user: postgresUser)
            if !reachable || !Self.socketsFit(below: inside) {
                let outside = "/var/lib/delightchat/\(state.fingerprint)"
                for folder in ["/var/lib/delightchat", outside, "\(outside)/run"] {
                    try Files.makeFolder(folder, mode: 0o711)
                }
                run = "\(outside)/run"
                guard try await Self.makeReachable("\(run)/postgres", user: postgresUser) else {
                    throw FleetError("the user \(postgresUser) cannot reach \(run)")
                }
                if !reachable {
                    data = "\(outside)/postgres"
                    try Self.link(state.postgres, to: data)
                }
            }
        } else {
            if !Self.socketsFit(below: inside) {
                run = try Self.shortFolder(state.fingerprint, environment: environment)
            }
            try Files.makeFolder("\(run)/postgres", mode: 0o700)
        }
        postgresData = data
        postgresSockets = "\(run)/postgres"
        redisSocket = "\(run)/redis.sock"
    }

    /// Makes a folder of that user and tries whether he can write to it.
    private static func makeReachable(_ folder: String, user: String) async throws -> Bool {
        guard let entry = getpwnam(user) else {
            throw FleetError("there is no user \(user)", remedy: "apt-get install postgresql makes it")
        }
        try Files.makeFolder(folder, mode: 0o700, owner: entry.pointee.pw_uid)
        try Files.give(folder, to: user)
        var attempt = Launch(name: "test", executable: "/usr/bin/test", arguments: ["-w", folder], environment: [:])
        attempt.user = user
        attempt.log = "/dev/null"
        return try await ChildProcess.start(attempt).exit() == .exited(0)
    }

    /// Leads from `.runner/postgres` to where the data really lies.
    private static func link(_ path: String, to target: String) throws(FleetError) {
        guard Files.linkTarget(path) != target else { return }
        guard symlink(target, path) == 0 else {
            throw FleetError("could not link \(path) to \(target): \(String(cString: strerror(errno)))")
        }
    }

    static func shortFolder(_ fingerprint: String, environment: [String: String]) throws(FleetError) -> String {
        var folder = "/tmp/delightchat-\(geteuid())-\(fingerprint)"
        if let runtime = environment["XDG_RUNTIME_DIR"], access(runtime, W_OK) == 0 {
            let candidate = "\(runtime)/delightchat-\(fingerprint)"
            if socketsFit(below: candidate) { folder = candidate }
        }
        try Files.makeFolder(folder, mode: 0o700)
        return folder
    }
}

/// Escapes a path for a URL's query or path part; the slash stays.
func urlEncoded(_ path: String) -> String {
    let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
    )
    return path.addingPercentEncoding(withAllowedCharacters: unreserved) ?? path
}

/// The last lines of a log, for a message about why its server did not start.
func logTail(_ file: String, lines: Int = 8) -> String {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return "" }  // No log, nothing to show.
    return text.split(separator: "\n").suffix(lines).map { "    \($0)" }.joined(separator: "\n")
}
