import Foundation

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// The real executable, hosting all functions on a database of its own, as `runner up` would start it.
package final class RunningHost: Sendable {
    package let database: TestDatabase
    package let redisURL: String
    package let port: Int
    private let process: LockedProcess
    private let environment: [String: String]

    /// Starts a host and waits until it is ready.
    ///
    /// - Parameters:
    ///   - redisURL: by default the run's Redis with a database number that no other host of this process has.
    ///   - settings: environment variables on top.
    package init(
        database: TestDatabase? = nil,
        redisURL: String? = nil,
        settings: [String: String] = [:]
    ) async throws {
        if let database { self.database = database } else { self.database = try await TestDatabase.make() }
        if let redisURL {
            self.redisURL = redisURL
        } else {
            self.redisURL = try TestServers.redis + "/\(RedisNumbers.shared.next())"
        }
        port = try FreePort.find()
        environment = [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
            "DATABASE_URL": self.database.applicationURL,
            "REDIS_URL": self.redisURL,
            "JWT_SECRET": "a secret of the tests, long enough for HS256",
            "ENCRYPTION_KEY": String(repeating: "0123456789abcdef", count: 4),
            "PUBLIC_URL": "http://localhost:\(port)",
            "LOG_LEVEL": "warning",
            "METRICS_TOKEN": "metrics-token-of-the-tests",
        ].merging(settings) { _, new in new }
        process = LockedProcess()
        try await start()
    }

    deinit { process.kill() }

    package var api: APIClient { APIClient(base: "http://127.0.0.1:\(port)") }

    /// Ends it as a crash would.
    package func kill() { process.kill() }

    /// Asks it to end and waits until it has.
    package func stop() { process.stop() }

    /// Starts it, or starts it again on the same port, and waits until it is ready.
    package func start() async throws {
        try process.start(
            executable: Checkout.executable,
            arguments: ["serve", "--all", "-f", Checkout.root + "/functions.yaml", "--port", String(port)],
            environment: environment
        )
        for _ in 0..<600 {
            if let answer = try? await api.get("/ready"), answer.status == 200 { return }  // not there yet: asked again
            guard process.isRunning else { throw HostEnded(log: process.log) }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw HostEnded(log: process.log)
    }

    /// What it wrote to standard error since its last start.
    package var log: String { process.log }

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

/// Hands out Redis databases, of which a server has 16; hosts that share one also share nothing else but time.
private final class RedisNumbers: Sendable {
    static let shared = RedisNumbers()
    private let last = LockedCounter()

    func next() -> Int { 1 + last.next() % 15 }
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
<<<<<<< HEAD

/// A child process whose state tests on any thread may touch.
final class LockedProcess: @unchecked Sendable {
    // The lock guards both members.
    private let lock = NSLock()
    private var process: Process?
    private var logPath = ""

    func start(executable: String, arguments: [String], environment: [String: String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
        // However the test run ends, its hosts end with it.
        process.arguments = ["--pdeathsig", "KILL", executable] + arguments
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
        let path = NSTemporaryDirectory() + "delightchat-host-\(UUID().uuidString).log"
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        let file = FileHandle(forWritingAtPath: path)
        process.standardOutput = file
        process.standardError = file
        // On a thread that never ends: the death signal follows the thread that started the child.
        try Spawner.shared.run { try process.run() }
        lock.withLock {
            self.process = process
            logPath = path
        }
    }

    var isRunning: Bool { lock.withLock { process?.isRunning ?? false } }

    var log: String {
        let path = lock.withLock { logPath }
        return (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""  // gone with the folder: nothing to show
    }

    func kill() {
        guard let process = lock.withLock({ process }), process.isRunning else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    func stop() {
        guard let process = lock.withLock({ process }), process.isRunning else { return }
        process.terminate()
        process.waitUntilExit()
    }
}

/// One thread that starts every child and lives as long as the process.
private final class Spawner: @unchecked Sendable {
    // The condition guards the list of work.
    static let shared = Spawner()
    private let condition = NSCondition()
    private var work: [() -> Void] = []

    private init() {
        Thread.detachNewThread { [self] in
            while true {
                condition.lock()
                while work.isEmpty { condition.wait() }
                let next = work.removeFirst()
                condition.unlock()
                next()
            }
        }
    }

    func run(_ body: @escaping () throws -> Void) throws {
        let done = DispatchSemaphore(value: 0)
        nonisolated(unsafe) var failure: (any Error)?
        condition.lock()
        work.append {
            do { try body() } catch { failure = error }
            done.signal()
        }
        condition.signal()
        condition.unlock()
        done.wait()
        if let failure { throw failure }
    }
}

package enum FreePort {
    /// A loopback port that nobody listens on at this moment.
    package static func find() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, size) == 0 && getsockname(descriptor, generic, &size) == 0
            }
        }
        guard isBound else { throw POSIXError(.EADDRINUSE) }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
=======
>>>>>>> schema
