import ArgumentParser
import Fleet
import Foundation
import Logging
import Queue
import Redis

/// Adds jobs while workers are killed each second and Redis twice, and sees that every job was completed.
///
/// Every run of a job is counted in Redis when it begins, under the job's own number. A second run is right only where a
/// worker died in the midst of one, which the job then says of itself.
struct QueueChaos {
    let server: BenchRedis
    let jobs: Int
    /// Over how long they are added.
    let seconds: Int

    private static let queue = "chaos"
    private static let workers = 4
    private static let runs = "chaos-runs"
    private static let stalls = "chaos-stalls"
    private static let seen = "chaos-seen"

    func run() async throws {
        let redis = try server.client()
        let before = try await memory(redis)
        var children: [ChildProcess] = []
        for _ in 0..<Self.workers { children.append(try await worker()) }
        let (jobs, seconds) = (jobs, seconds)
        let producing = try server.client()
        let adding = Task { try await Self.add(jobs, over: seconds, producing) }
        var kills = 0
        for second in 1...seconds {
            try await Task.sleep(for: .seconds(1))
            let index = second % Self.workers
            _ = await children[index].stop(SIGKILL, grace: .zero)
            children[index] = try await worker()
            kills += 1
            if second == max(1, seconds / 3) || second == max(2, seconds * 2 / 3) {
                await server.kill()
                try await Task.sleep(for: .milliseconds(500))
                try await server.start()
            }
        }
        try await adding.value
        try await becomeEmpty(redis)
        for child in children { _ = await child.stop(SIGTERM, grace: .seconds(10)) }
        try await judge(redis, kills: kills, memoryBefore: before)
        await redis.shutdown()
    }

    private func worker() async throws -> ChildProcess {
        guard let executable = Checkout.executable else { throw ValidationError("can't find my own executable") }
        var launch = Launch(
            name: "worker",
            executable: executable,
            arguments: ["bench", "queue", "--worker", server.url],
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"]
        )
        launch.log = server.folder + "/worker.log"
        return try await ChildProcess.start(launch)
    }

    /// In small steps, each until Redis has taken it. An add that was not answered may have happened, so the jobs have ids of
    /// their own, which the newest completed ones still hold.
    private static func add(_ jobs: Int, over seconds: Int, _ redis: Redis) async throws {
        let producer = Producer(redis: redis)
        let steps = seconds * 20
        let began = ContinuousClock.now
        var added = 0
        for step in 1...steps {
            let batch = (added..<(jobs * step / steps)).map { number in
                NewJob(
                    name: "n",
                    data: "\(number)",
                    id: "job-\(number)",
                    attempts: 100,
                    keepCompleted: Retention(count: 2000)
                )
            }
            added += batch.count
            while true {
                do throws(RedisError) {
                    // One that has long been completed is gone with its id, but known to have begun.
                    let open = try await unbegun(batch, redis)
                    try await producer.add(open, to: Self.queue)
                    break
                } catch {
                    guard error.isUnavailable else { throw error }
                    try await Task.sleep(for: .milliseconds(100))
                }
            }
            try await Task.sleep(until: began + .milliseconds(50) * step)
        }
        await redis.shutdown()
    }

    private static func unbegun(_ batch: [NewJob], _ redis: Redis) async throws(RedisError) -> [NewJob] {
        guard !batch.isEmpty else { return [] }
        let counts = try await redis.command(["HMGET", .string(Self.runs)] + batch.map { .string($0.data) })
        return zip(batch, counts.array ?? []).filter { $1.isNull }.map(\.0)
    }

    private func becomeEmpty(_ redis: Redis) async throws {
        let inspector = QueueInspector(redis: redis)
        for _ in 0..<(seconds + 120) * 10 {
            let counts = try await inspector.counts(Self.queue)
            if counts.wait + counts.active + counts.delayed + counts.prioritized == 0 { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw ValidationError("jobs are left: \(try await inspector.counts(Self.queue))")
    }

    private func judge(_ redis: Redis, kills: Int, memoryBefore: Int) async throws {
        let runs = try await numbers(redis, Self.runs)
        let stalls = try await numbers(redis, Self.stalls)
        let extra = runs.values.reduce(0) { $0 + $1 - 1 }
        let unexplained = runs.filter { $0.value - 1 > stalls[$0.key] ?? 0 }
        let counts = try await QueueInspector(redis: redis).counts(Self.queue)
        _ = try await QueueControl(redis: redis, queue: Self.queue).removeAll(.completed, now: 0)
        _ = try await redis.command(["DEL", .string(Self.runs), .string(Self.stalls), .string(Self.seen)])
        _ = try await redis.command(["XTRIM", .string("bull:\(Self.queue):events"), "MAXLEN", 0])
        let after = try await memory(redis)
        print("\(runs.count) of \(jobs) jobs completed, \(kills) workers and 2 Redis killed")
        print("\(extra) runs beyond the first, \(unexplained.count) of them of jobs that nobody died with")
        print(
            "failed \(counts.failed), active \(counts.active); Redis \(memoryBefore / 1024) KiB before, \(after / 1024) after"
        )
        let isMemoryBack = after < memoryBefore + 2 << 20
        guard runs.count == jobs, unexplained.isEmpty, counts.failed == 0, counts.active == 0, isMemoryBack else {
            throw ExitCode(1)
        }
    }

    private func numbers(_ redis: Redis, _ key: String) async throws -> [String: Int] {
        let words = try await redis.command(["HGETALL", .string(key)]).array?.compactMap(\.string) ?? []
        return Dictionary(
            stride(from: 0, to: words.count - 1, by: 2).map { (words[$0], Int(words[$0 + 1]) ?? 0) },
            uniquingKeysWith: { first, _ in first }
        )
    }

    private func memory(_ redis: Redis) async throws -> Int {
        let text = try await redis.command(["INFO", "memory"]).string ?? ""
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("used_memory:") }
        return line.flatMap { Int($0.dropFirst("used_memory:".count)) } ?? 0
    }

    /// One of the workers: 50 jobs of 20 ms at once, until it is killed or asked to end.
    static func work(url: String) async throws {
        signal(SIGTERM, SIG_IGN)
        let redis = Redis(
            try RedisConfiguration(url: url),
            logger: Logger(label: "chaos", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        let options = ConsumerOptions(
            concurrency: 50,
            attempts: 100,
            lockDuration: .seconds(5),
            stalledInterval: .seconds(1),
            quarantine: .milliseconds(200)
        )
        let consumer = Consumer(
            redis: redis,
            queue: queue,
            options: options,
            logger: Logger(label: "chaos", factory: { _ in SwiftLogNoOpLogHandler() })
        ) { jobs in
            for job in jobs {
                await count(job, redis)
                try? await Task.sleep(for: .milliseconds(20))  // cancelled: the lock is lost, and nothing is written
            }
            return jobs.map { _ in .completed() }
        }
        let source = DispatchSource.makeSignalSource(signal: SIGTERM)
        source.setEventHandler { Task { await consumer.stop() } }  // ends by itself: it only sets the consumer's state
        source.resume()
        await consumer.run()
        source.cancel()
        await redis.shutdown()
    }

    /// Once for each run: a call whose answer is lost with Redis may have counted, so each run has a field of its own first.
    private static func count(_ job: Job, _ redis: Redis) async {
        let script = RedisScript(
            name: "count-run",
            source: """
                if redis.call('HSETNX', KEYS[3], ARGV[3], 1) == 1 then
                    redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
                    if ARGV[2] ~= '0' then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) end
                end
                return 1
                """
        )
        while true {
            do throws(RedisError) {
                _ = try await redis.evaluate(
                    script,
                    keys: [runs, stalls, seen],
                    arguments: [
                        .string(job.data), .integer(Int64(job.stalledCount)), "\(job.id):\(job.attemptsStarted)",
                    ]
                )
                return
            } catch {
                guard error.isUnavailable else { return }
                try? await Task.sleep(for: .milliseconds(100))  // cancelled: counts once more and ends
                if Task.isCancelled { return }
            }
        }
    }
}
