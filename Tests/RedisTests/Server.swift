import Foundation
import NIOCore
import NIOPosix
import Redis
import Synchronization
import Testing

/// A redis-server of one test's own, in a folder of its own, on a unix socket; it can be killed, stopped and restarted.
final class Server: Sendable {
    let folder: URL
    private let options: [String]
    private let process = Mutex<Process?>(nil)

    /// Starts a server and waits until it answers.
    init(_ options: [String] = []) async throws {
        // Short, because a socket's path may have 107 bytes.
        folder = URL(fileURLWithPath: "/tmp/redis-tests-\(UUID().uuidString.prefix(8))")
        self.options = options
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try await start()
    }

    deinit {
        signal(SIGKILL)
        try? FileManager.default.removeItem(at: folder)  // Left over at worst.
    }

    var socket: String { "\(folder.path)/s" }
    var url: String { "unix://\(socket)" }

    func start(_ more: [String] = []) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", folder.path, "--save", ""] + options + more
        process.standardOutput = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try? FileManager.default.removeItem(atPath: socket)  // A killed server leaves it behind.
        try process.run()
        self.process.withLock { $0 = process }
        #expect(try await World.eventually { await isListening() })
    }

    private func isListening() async -> Bool {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        // Refused until the server listens, and that is the answer.
        guard let channel = try? await bootstrap.connect(unixDomainSocketPath: socket).get() else { return false }
        try? await channel.close()  // Closed by the server at worst.
        return true
    }

    func kill() async throws {
        signal(SIGKILL)
        #expect(try await World.eventually { process.withLock { $0?.isRunning != true } })
    }

    func signal(_ number: Int32) {
        process.withLock { process in
            guard let process, process.isRunning else { return }
            _ = Foundation.kill(process.processIdentifier, number)
        }
    }
}
