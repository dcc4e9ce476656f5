import Foundation
import Logging
import Redis
import Synchronization
import Testing

@testable import Queue

/// A queue of its own on the test's Redis.
struct QueueWorld {
    let redis: Redis
    let queue: String
    let producer: Producer
    let inspector: QueueInspector

    static func url() throws -> String {
        try #require(
            ProcessInfo.processInfo.environment["TEST_REDIS_URL"],
            "TEST_REDIS_URL is not set: these tests need a Redis that they may fill, as redis://127.0.0.1:PORT"
        )
    }

    init(url: String? = nil, queue: String? = nil) throws {
        redis = Redis(try RedisConfiguration(url: url ?? Self.url()), logger: Self.quiet)
        self.queue = queue ?? "q-\(UUID().uuidString.lowercased())"
        producer = Producer(redis: redis)
        inspector = QueueInspector(redis: redis)
    }

    static var quiet: Logger {
        var logger = Logger(label: "queue-tests")
        logger.logLevel = ProcessInfo.processInfo.environment["TEST_LOG"] == nil ? .critical : .debug
        return logger
    }

    func key(_ suffix: String) -> String { "bull:\(queue):\(suffix)" }

    func command(_ words: String...) async throws -> RESPValue {
        try await redis.command(words.map { .string($0) })
    }

    /// The fields of a job's hash.
    func job(_ id: String) async throws -> [String: String] {
        let answer = try await command("HGETALL", key(id)).array?.compactMap(\.text) ?? []
        return Dictionary(
            uniqueKeysWithValues: stride(from: 0, to: answer.count, by: 2).map { (answer[$0], answer[$0 + 1]) }
        )
    }

    func list(_ suffix: String) async throws -> [String] {
        try await command("LRANGE", key(suffix), "0", "-1").array?.compactMap(\.text) ?? []
    }

    /// Names of the events of the queue, in their order.
    func events() async throws -> [String] {
        let entries = try await command("XRANGE", key("events"), "-", "+").array ?? []
        return entries.compactMap { $0.array?[1].array?[1].text }
    }

    func consumer(
        _ options: ConsumerOptions = ConsumerOptions(),
        redis: Redis? = nil,
        onExhausted: Consumer.ExhaustedHook? = nil,
        handle: @escaping Consumer.Handler
    ) -> Consumer {
        Consumer(
            redis: redis ?? self.redis,
            queue: queue,
            options: options,
            logger: Self.quiet,
            onExhausted: onExhausted,
            handle: handle
        )
    }

    /// Runs a consumer beside the body and stops it after it.
    func with(_ consumer: Consumer, _ body: () async throws -> Void) async throws {
        let run = Task { await consumer.run() }
        do {
            try await body()
        } catch {
            await consumer.stop()
            await run.value
            throw error
        }
        await consumer.stop()
        await run.value
    }
}

/// What a handler has seen, in the order of its seeing.
final class Recorder: Sendable {
    private let seen = Mutex<[Job]>([])

    var jobs: [Job] { seen.withLock { $0 } }
    var ids: [String] { jobs.map(\.id) }

    func record(_ jobs: [Job]) { seen.withLock { $0 += jobs } }
}

/// Waits until the condition holds; fails the test when it does not within the limit.
func eventually(
    within limit: Duration = .seconds(60),
    _ claim: Comment,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record(claim, sourceLocation: sourceLocation)
}

/// A Redis server of a test's own, which it may kill.
final class PrivateRedis: Sendable {
    let directory: String
    let port: Int
    private let process = Mutex<Process?>(nil)

    init() throws {
        port = Int.random(in: 20_000..<30_000)
        directory = NSTemporaryDirectory() + "queue-tests-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    var url: String { "redis://127.0.0.1:\(port)" }

    /// `asCluster` makes it a node of a cluster, the only one once it has been given the slots.
    func start(asCluster: Bool = false) throws {
        let server = Process()
        server.executableURL = URL(fileURLWithPath: "/usr/bin/redis-server")
        server.arguments = [
            "--port", "\(port)", "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--appendonly", "yes",
            "--appendfsync", "always",
        ]
        if asCluster { server.arguments? += ["--cluster-enabled", "yes"] }
        server.standardOutput = FileHandle.nullDevice
        try server.run()
        process.withLock { $0 = server }
    }

    func kill() {
        process.withLock { process in
            guard let server = process else { return }
            Glibc.kill(server.processIdentifier, SIGKILL)
            server.waitUntilExit()
            process = nil
        }
    }

    func remove() {
        kill()
        try? FileManager.default.removeItem(atPath: directory)
    }
}

extension QueueCounts {
    /// The states that hold jobs, for comparing all of them at once.
    var states: [String: Int] {
        [
            "wait": wait, "active": active, "delayed": delayed, "prioritized": prioritized, "completed": completed,
            "failed": failed,
        ].filter { $0.value > 0 }
    }
}
