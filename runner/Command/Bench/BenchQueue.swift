import ArgumentParser
import Foundation
import Logging
import Manifest
import Queue
import Redis
import Synchronization

struct BenchQueue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue",
        abstract:
            "The queue beside PyPI bullmq and redis-benchmark on the same Redis; --chaos kills workers and Redis.",
        discussion: """
            bullmq is taken from .runner/venv, which runner/setup --tests makes.

            Examples:
              runner bench queue
              runner bench queue --jobs 20000
              runner bench queue --chaos
              runner bench queue --chaos --jobs 4000 --seconds 8
            """
    )

    @OptionGroup var bundle: BundleOptions

    @Option(help: "How many jobs are added and processed.")
    var jobs = 100_000

    @Flag(help: "Kill a worker each second and Redis twice, and see that every job is completed.")
    var chaos = false

    @Option(help: "With --chaos, over how long the jobs are added.")
    var seconds = 60

    @Option(help: .hidden)
    var worker: String?

    func validate() throws {
        guard (100...1_000_000).contains(jobs) else { throw ValidationError("--jobs is 100 to 1000000.") }
        guard (2...3600).contains(seconds) else { throw ValidationError("--seconds is 2 to 3600.") }
    }

    func run() async throws {
        if let worker { return try await QueueChaos.work(url: worker) }
        let server = try BenchRedis()
        do {
            try await server.start()
            if chaos {
                try await QueueChaos(server: server, jobs: jobs, seconds: seconds).run()
            } else {
                try await measure(server)
            }
            await server.end()
        } catch {
            await server.end()
            throw error
        }
    }

    private func measure(_ server: BenchRedis) async throws {
        let redis = try server.client()
        let queue = OwnQueue(server: server, redis: redis)
        let ours = try await queue.measure(jobs)
        let behind = try await queue.waitBehind(jobs)
        let theirs = try await peer(server)
        let raw = try await benchmark(server)
        await redis.shutdown()
        func ratio(_ value: (QueueFigures) -> Double) -> String {
            theirs.map { (value(ours) / value($0)).short } ?? "-"
        }
        let rows = QueueFigures.rows.map { name, value in
            [name, value(ours).short, theirs.map { value($0).short } ?? "-", ratio(value)]
        }
        print(Table(["", "here", "bullmq", "ratio"], rows: rows))
        print("one organisation's single job behind \(jobs) of another, 10 ms each, ten at once: \(behind.short) ms")
        print(raw)
        if theirs == nil { Terminal.error("bullmq is not there: runner/setup --tests") }
    }

    /// bullmq's figures on a tenth of the jobs, `nil` where it isn't installed.
    private func peer(_ server: BenchRedis) async throws -> QueueFigures? {
        let python = try bundle.bundle().root.appending(path: ".runner/venv/bin/python").path
        guard FileManager.default.isExecutableFile(atPath: python) else { return nil }
        let file = server.folder + "/peer.py"
        try BenchPeer.script.write(toFile: file, atomically: true, encoding: .utf8)
        let output = try await Tool.run("env", [python, file, server.url, "\(max(100, jobs / 20))"])
        let last = output.split(separator: "\n").last.map(String.init) ?? ""
        return try JSONDecoder().decode(QueueFigures.self, from: Data(last.utf8))
    }

    private func benchmark(_ server: BenchRedis) async throws -> String {
        let arguments = ["-p", "\(server.port)", "-n", "100000", "-t", "set,lpush", "-q"]
        let single = try await Tool.run("redis-benchmark", arguments)
        let pipelined = try await Tool.run("redis-benchmark", arguments + ["-P", "50"])
        func lines(_ text: String) -> [String] {
            text.replacing("\r", with: "\n").split(separator: "\n").filter { $0.contains("per second") }
                .compactMap { $0.split(separator: ",").first.map { $0.trimmingCharacters(in: .whitespaces) } }
        }
        return "redis-benchmark, 50 clients: \(lines(single).joined(separator: "; "))\n"
            + "redis-benchmark, 50 in a pipeline: \(lines(pipelined).joined(separator: "; "))"
    }
}

/// What is measured of a queue; times in milliseconds, processor time in microseconds.
struct QueueFigures: Codable {
    var added = 0.0
    var addedTogether = 0.0
    var processed = 0.0
    var redisCPU = 0.0
    var idleP50 = 0.0
    var idleP99 = 0.0
    var delayedP50 = 0.0
    var delayedP99 = 0.0

    static let rows: [(String, @Sendable (QueueFigures) -> Double)] = [
        ("added one by one, 64 callers, per s", { $0.added }), ("added by the hundred, per s", { $0.addedTogether }),
        ("processed, no-op, one process, per s", { $0.processed }),
        ("Redis CPU per processed job, µs", { $0.redisCPU }),
        ("idle worker wakes, p50 ms", { $0.idleP50 }), ("idle worker wakes, p99 ms", { $0.idleP99 }),
        ("delayed job is late, p50 ms", { $0.delayedP50 }), ("delayed job is late, p99 ms", { $0.delayedP99 }),
    ]
}

/// Our own queue under measurement.
private struct OwnQueue {
    let server: BenchRedis
    let redis: Redis
    private var producer: Producer { Producer(redis: redis) }

    private static var quiet: Logger { Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() }) }

    func measure(_ jobs: Int) async throws -> QueueFigures {
        var figures = QueueFigures()
        figures.added = try await rate(jobs / 5) { try await addSingly($0) }
        _ = try await redis.command(["FLUSHALL"])
        figures.addedTogether = try await rate(jobs) { try await addTogether($0) }
        let cpu = try await server.cpu(redis)
        figures.processed = try await rate(jobs) { try await process($0) }
        figures.redisCPU = (try await server.cpu(redis) - cpu) / Double(jobs)
        (figures.idleP50, figures.idleP99) = try await wakeUps(rounds: 200, delay: nil)
        (figures.delayedP50, figures.delayedP99) = try await wakeUps(rounds: 50, delay: .milliseconds(100))
        return figures
    }

    private func rate(_ count: Int, _ body: (Int) async throws -> Void) async throws -> Double {
        let began = ContinuousClock.now
        try await body(count)
        return Double(count) / (began.duration(to: .now) / .seconds(1))
    }

    private func addSingly(_ count: Int) async throws {
        let producer = producer
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    for _ in 0..<(count / 64) { try await producer.add(Self.job, to: "single") }
                }
            }
            try await group.waitForAll()
        }
    }

    private func addTogether(_ count: Int) async throws {
        let producer = producer
        let batch = [NewJob](repeating: Self.job, count: 100)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask { for _ in 0..<(count / 400) { try await producer.add(batch, to: "many") } }
            }
            try await group.waitForAll()
        }
    }

    private static let job = NewJob(name: "no-op", data: #"{"to":"a customer","text":"Hello"}"#)

    private func process(_ count: Int) async throws {
        let done = Mutex(0)
        let consumer = Consumer(
            redis: redis,
            queue: "many",
            options: ConsumerOptions(concurrency: 100, keepCompleted: Retention(count: 1000)),
            logger: Self.quiet
        ) { jobs in
            done.withLock { $0 += jobs.count }
            return jobs.map { _ in .completed() }
        }
        let run = Task { await consumer.run() }
        while done.withLock({ $0 }) < count / 400 * 400 { try await Task.sleep(for: .milliseconds(5)) }
        await consumer.stop()
        await run.value
    }

    /// How long another organisation's job waits that is added while those of one are worked off.
    func waitBehind(_ count: Int) async throws -> Double {
        let (loud, quiet) = (UUID(), UUID())
        let begun = Mutex<ContinuousClock.Instant?>(nil)
        let runs = Mutex(0)
        let consumer = Consumer(
            redis: redis,
            queue: "shared",
            options: ConsumerOptions(concurrency: 10),
            logger: Self.quiet
        ) { jobs in
            if jobs.contains(where: { $0.organisation == quiet }) { begun.withLock { $0 = .now } }
            try? await Task.sleep(for: .milliseconds(10))  // cancelled: the measurement is over
            runs.withLock { $0 += jobs.count }
            return jobs.map { _ in .completed() }
        }
        let run = Task { await consumer.run() }
        // The consumer says at its start that it keeps the order; jobs that are added before stand in the queue itself.
        while try await redis.command(["HGET", "bull:shared:meta", "fair"]).isNull {
            try await Task.sleep(for: .milliseconds(1))
        }
        var job = Self.job
        job.organisation = loud
        let batch = [NewJob](repeating: job, count: 100)
        for _ in 0..<(count / 100) { try await producer.add(batch, to: "shared") }
        while runs.withLock({ $0 }) < 100 { try await Task.sleep(for: .milliseconds(5)) }
        job.organisation = quiet
        let added = ContinuousClock.now
        try await producer.add(job, to: "shared")
        while begun.withLock({ $0 }) == nil { try await Task.sleep(for: .milliseconds(1)) }
        await consumer.stop()
        await run.value
        return added.duration(to: begun.withLock { $0 } ?? .now) / .milliseconds(1)
    }

    /// From the add, or from its due time, until the handler has the job.
    private func wakeUps(rounds: Int, delay: Duration?) async throws -> (p50: Double, p99: Double) {
        let begun = Mutex<ContinuousClock.Instant?>(nil)
        let consumer = Consumer(redis: redis, queue: "wake", logger: Self.quiet) { jobs in
            begun.withLock { $0 = .now }
            return jobs.map { _ in .completed() }
        }
        let run = Task { await consumer.run() }
        var waits: [Double] = []
        for _ in 0..<rounds {
            try await Task.sleep(for: .milliseconds(20))
            begun.withLock { $0 = nil }
            let due = ContinuousClock.now + (delay ?? .zero)
            var job = Self.job
            job.delay = delay
            try await producer.add(job, to: "wake")
            while begun.withLock({ $0 }) == nil { try await Task.sleep(for: .microseconds(200)) }
            waits.append(due.duration(to: begun.withLock { $0 } ?? .now) / .milliseconds(1))
        }
        await consumer.stop()
        await run.value
        waits.sort()
        return (waits[waits.count / 2], waits[waits.count * 99 / 100])
    }
}
