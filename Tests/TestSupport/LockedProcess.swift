import Foundation

/// A child process whose state tests on any thread may touch.
package final class LockedProcess: @unchecked Sendable {
    // The lock guards the members.
    private let lock = NSLock()
    private var process: Process?
    private var ended = DispatchGroup()
    private var logPath = ""

    package init() {}

    deinit { removeLog() }

    /// Starts it in `folder`. However the test run ends, it then gets the signal `end`. Where the tests run as root, it runs
    /// as `user`.
    package func start(
        executable: String,
        arguments: [String],
        environment: [String: String],
        folder: String? = nil,
        end: String = "KILL",
        user: String? = nil
    ) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
        var options = ["--pdeathsig", end]
        if let user, geteuid() == 0 { options += ["--reuid=\(user)", "--regid=\(user)", "--clear-groups"] }
        process.arguments = options + [executable] + arguments
        process.environment = environment
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        process.standardInput = FileHandle.nullDevice
        removeLog()
        let path = NSTemporaryDirectory() + "delightchat-\(UUID().uuidString).log"
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        let file = FileHandle(forWritingAtPath: path)
        process.standardOutput = file
        process.standardError = file
        // Not `waitUntilExit`: it turns the run loop of the thread that it is called on, and the pool's threads are others'.
        let ended = DispatchGroup()
        ended.enter()
        process.terminationHandler = { _ in ended.leave() }
        // On a thread that never ends: the death signal follows the thread that started the child.
        try Spawner.shared.run { try process.run() }
        lock.withLock {
            self.process = process
            self.ended = ended
            logPath = path
        }
    }

    package var isRunning: Bool { lock.withLock { process?.isRunning ?? false } }

    var pid: pid_t { lock.withLock { process?.processIdentifier ?? 0 } }

    package var log: String {
        let path = lock.withLock { logPath }
        return (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""  // gone with the folder: nothing to show
    }

    /// Waits until it listens on the port.
    func listens(on port: Int) async throws {
        do {
            _ = try await eventually { FreePort.isTaken(port) ? true : nil }
        } catch {
            throw NotListening(port: port, log: log)
        }
    }

    struct NotListening: Error, CustomStringConvertible {
        let port: Int
        let log: String
        var description: String { "nobody listens on port \(port):\n\(log)" }
    }

    private func removeLog() {
        let path = lock.withLock { logPath }
        if !path.isEmpty { try? FileManager.default.removeItem(atPath: path) }  // a file that stays is in nobody's way
    }

    package func kill() { end(by: SIGKILL) }

    package func stop(_ signal: Int32 = SIGTERM) { end(by: signal) }

    private func end(by signal: Int32) {
        lock.lock()
        let (started, ended) = (self.process, self.ended)
        lock.unlock()
        guard let process = started, process.isRunning else { return }
        Foundation.kill(process.processIdentifier, signal)
        ended.wait()
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
