import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// The real executable, hosting all functions on a database of its own, as `runner up` would start it: in one process, or spread
/// over several as ``ProductShape`` says.
package final class RunningHost: Sendable {
    package let database: TestDatabase
    package let redisURL: String
    package let port: Int
    /// Where it writes mails.
    package let mailFolder: String
    /// Where it keeps files of received messages.
    package let attachmentFolder: String
    let environment: [String: String]
    private let processes: [ProductProcess]
    private let folder: String?
    private let socket: String?
    /// Between it and the database, in the shape that has one.
    private let pooler: RunningPgBouncer?

    /// Starts a host and waits until it is ready.
    ///
    /// `redisURL` is by default the run's Redis with a database number that no other host of this process has; `settings`
    /// are environment variables on top. With `hosting`, as `runner serve` takes it, one process hosts that alone, whatever the
    /// shape of the run; with `socket`, the path of a unix socket, it listens there and on no port.
    package init(
        database: TestDatabase? = nil,
        redisURL: String? = nil,
        settings: [String: String] = [:],
        hosting: [String]? = nil,
        socket: String? = nil
    ) async throws {
        self.socket = socket
        if let database { self.database = database } else { self.database = try await TestDatabase.make() }
        if let redisURL {
            self.redisURL = redisURL
        } else {
            self.redisURL = try TestServers.redis + "/\(RedisNumbers.shared.next())"
        }
        let shape = ProductShape.current
        var connection = ["DATABASE_URL": self.database.applicationURL]
        if shape == .pgbouncer, settings["DATABASE_URL"] == nil {
            let pooler = try await RunningPgBouncer(before: self.database.applicationURL, user: "delightchat_test")
            connection = ["DATABASE_URL": try pooler.url(of: self.database.applicationURL), "DATABASE_PREPARE": "off"]
            self.pooler = pooler
        } else {
            pooler = nil
        }
        port = try FreePort.find()
        mailFolder = NSTemporaryDirectory() + "delightchat-mail-\(UUID().uuidString)"
        attachmentFolder = NSTemporaryDirectory() + "delightchat-attachments-\(UUID().uuidString)"
        environment = [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
            "REDIS_URL": self.redisURL,
            "JWT_SECRET": "a secret of the tests, long enough for HS256",
            "ENCRYPTION_KEY": String(repeating: "0123456789abcdef", count: 4),
            "PUBLIC_URL": "http://localhost:\(port)",
            "LOG_LEVEL": "warning",
            "METRICS_TOKEN": "metrics-token-of-the-tests",
            "MAIL_DIR": mailFolder,
            // Nobody: no test calls a real provider.
            "META_GRAPH_URL": "http://127.0.0.1:9", "INSTAGRAM_GRAPH_URL": "http://127.0.0.1:9",
            "X_API_URL": "http://127.0.0.1:9", "LINKEDIN_API_URL": "http://127.0.0.1:9",
            "LINKEDIN_OAUTH_URL": "http://127.0.0.1:9",
            "ATTACHMENTS_URL": "file:" + attachmentFolder,
        ].merging(connection) { _, new in new }.merging(settings) { _, new in new }
        if let hosting {
            let place = socket.map { ["--socket", $0] } ?? ["--port", String(port)]
            processes = [ProductProcess(["serve"] + hosting + ["-f", ProductProcesses.manifest] + place, environment)]
            folder = nil
        } else {
            let product = try ProductProcesses(
                shape,
                port: port,
                environment: environment,
                owner: self.database.ownerURL
            )
            (processes, folder) = (product.all, product.folder)
        }
        try await start()
    }

    deinit {
        kill()
        for folder in [mailFolder, attachmentFolder, folder].compactMap(\.self) {
            try? FileManager.default.removeItem(atPath: folder)  // there is none where nothing was written
        }
    }

    package var api: APIClient { APIClient(base: "http://127.0.0.1:\(port)") }

    /// Ends it as a crash of its machine would: a gateway has no time to tell of the end of those behind it.
    package func kill() {
        for process in processes.reversed() { process.kill() }
    }

    /// Asks it to end and waits until it has; a gateway ends before those behind it.
    package func stop() {
        for process in processes.reversed() { process.stop() }
    }

    /// Starts it, or starts it again on the same port, and waits until it is ready.
    package func start() async throws {
        for process in processes { try process.start() }
        let end = ContinuousClock.now + ProductShape.current.patience
        while ContinuousClock.now < end {
            if let socket, FileManager.default.fileExists(atPath: socket) { return }
            if let answer = try? await api.get("/ready"), answer.status == 200 { return }  // not there yet: asked again
            guard processes.allSatisfy(\.isRunning) else { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw HostEnded(log: log)
    }

    /// What it wrote since its last start.
    package var log: String { processes.map(\.log).joined() }

    /// The mails to somebody, oldest first, as they would have been sent.
    package func mails(to recipient: String) throws -> [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: mailFolder)) ?? []  // made by the first mail
        return try files.filter { $0.hasSuffix(".eml") }.sorted()
            .map { try String(contentsOfFile: "\(mailFolder)/\($0)", encoding: .utf8) }
            .filter { $0.contains("\r\nTo: \(recipient)\r\n") }
    }

    struct HostEnded: Error, CustomStringConvertible {
        let log: String
        var description: String { "the host did not become ready:\n\(log)" }
    }
}

/// The repository that the tests were built from.
package enum Checkout {
    package static var root: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
    }

    /// The executable beside the test bundle that runs, unless RUNNER_EXECUTABLE names another.
    package static var executable: String {
        if let given = ProcessInfo.processInfo.environment["RUNNER_EXECUTABLE"] { return given }
        let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let folder = URL(fileURLWithPath: bundle).deletingLastPathComponent().path
        let beside = folder + "/runner"
        return FileManager.default.isExecutableFile(atPath: beside) ? beside : root + "/.build/debug/runner"
    }
}

/// Hands out the Redis databases of `runner/test`, each once: a host that shares one takes another's jobs.
private final class RedisNumbers: Sendable {
    static let shared = RedisNumbers()
    private let last = LockedCounter()

    func next() -> Int {
        let number = last.next()
        precondition(number < 512, "runner/test starts Redis with 512 databases")
        return number
    }
}

final class LockedCounter: @unchecked Sendable {
    // The lock guards the value.
    private let lock = NSLock()
    private var value = 0

    func next() -> Int {
        lock.withLock {
            value += 1
            return value
        }
    }
}
