import ArgumentParser
import Fleet
import Foundation
import Logging
import Redis

/// A Redis of a measurement's own, as durable as the private one: every write is on the disk before it is answered.
final class BenchRedis {
    let port: Int
    let folder: String
    private var process: ChildProcess?

    var url: String { "redis://127.0.0.1:\(port)" }

    init() throws {
        let number = ProcessInfo.processInfo.processIdentifier
        port = 30_000 + Int(number) % 10_000
        folder = "/tmp/delightchat-bench-redis-\(number)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    /// Starts it, also after a ``kill()``, and waits until it has read its file.
    func start() async throws {
        var launch = Launch(
            name: "redis",
            executable: "/usr/bin/redis-server",
            arguments: [
                "--port", "\(port)", "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes",
                "--appendfsync", "always", "--maxmemory-policy", "noeviction",
            ],
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"]
        )
        launch.log = folder + "/redis.log"
        process = try await ChildProcess.start(launch)
        let redis = try client()
        for _ in 0..<300 {
            if case .some = try? await redis.command(["PING"]) { return await redis.shutdown() }  // not there yet
            try await Task.sleep(for: .milliseconds(100))
        }
        await redis.shutdown()
        throw ValidationError("Redis did not start; its log is \(folder)/redis.log")
    }

    /// Ends it as a loss of power would.
    func kill() async {
        process?.signal(SIGKILL)
        _ = await process?.exit()
    }

    func end() async {
        await kill()
        try? FileManager.default.removeItem(atPath: folder)  // a folder in /tmp that is left does no harm
    }

    func client() throws -> Redis {
        Redis(
            try RedisConfiguration(url: url),
            logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
        )
    }

    /// Processor time of the server so far, in microseconds.
    func cpu(_ redis: Redis) async throws -> Double {
        let text = try await redis.command(["INFO", "cpu"]).string ?? ""
        return ["used_cpu_sys:", "used_cpu_user:"].reduce(0) { sum, label in
            let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix(label) }
            return sum + (line.flatMap { Double($0.dropFirst(label.count)) } ?? 0) * 1_000_000
        }
    }
}
