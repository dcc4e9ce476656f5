import Foundation

/// A port that accepts connections and never says a word.
final class SilentServer: Sendable {
    let port: UInt16
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) | listen(descriptor, 16) | getsockname(descriptor, address, &length)
            }
        }
        guard status == 0 else { throw POSIXError(.EADDRINUSE) }
        port = UInt16(bigEndian: address.sin_port)
    }

    func stop() {
        close(descriptor)
    }
}

/// A PostgreSQL of its own on a unix socket, to be stopped and started at will.
final class PrivateServer {
    private let folder: String
    private let binaries: String
    private var server: Running?

    struct Failed: Error {
        let command: [String]
        let status: String
    }

    init() async throws {
        folder = "/tmp/pg-\(UUID().uuidString.prefix(8).lowercased())"
        binaries = try Self.findBinaries()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // initdb refuses to run as root.
        if geteuid() == 0 { try await Running(["chown", "postgres", folder]).succeeds() }
        let initdb = ["\(binaries)/initdb", "-D", "\(folder)/data", "-A", "trust", "-U", "postgres", "-N"]
        try await Running(Self.asPostgres + initdb).succeeds()
    }

    var url: String { "host=\(folder) user=postgres dbname=postgres" }

    /// Starts the server, which takes connections a little later.
    func start() throws {
        let options = ["-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        server = try Running(Self.asPostgres + ["\(binaries)/postgres", "-D", "\(folder)/data"] + options)
    }

    /// Ends every connection and the server.
    func stop() async {
        server?.interrupt()
        _ = await server?.status()
        server = nil
    }

    func remove() async {
        await stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static let asPostgres =
        geteuid() == 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : []

    private static func findBinaries() throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        let folders = versions.sorted().reversed().map { "\(root)/\($0)/bin" } + ["/usr/local/bin", "/usr/bin"]
        guard let folder = folders.first(where: { FileManager.default.isExecutableFile(atPath: "\($0)/initdb") }) else {
            throw Failed(command: ["initdb"], status: "is not installed")
        }
        return folder
    }

    /// A child process whose end can be awaited without blocking a thread of the pool.
    private final class Running {
        private let command: [String]
        private let process = Process()
        private let ends: AsyncStream<Int32>

        init(_ command: [String]) throws {
            self.command = command
            let (ends, continuation) = AsyncStream.makeStream(of: Int32.self)
            self.ends = ends
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = command
            process.currentDirectoryURL = URL(fileURLWithPath: "/tmp")
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            process.terminationHandler = { process in
                continuation.yield(process.terminationStatus)
                continuation.finish()
            }
            try process.run()
        }

        func interrupt() {
            process.interrupt()
        }

        func status() async -> Int32? {
            for await status in ends { return status }
            return nil
        }

        func succeeds() async throws {
            let status = await status()
            guard status == 0 else { throw Failed(command: command, status: status.map(String.init) ?? "unknown") }
        }
    }
}
