import ArgumentParser
import Foundation
import Functions
import Manifest
import Queue
import Redis

struct Queues: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Looks into the queues and changes what is in them.",
        discussion: """
            Verbs that change many jobs say how many first and ask; where there is no terminal they need --yes.

            Examples:
              runner queues list
              runner queues show outbound 17
              runner queues peek outbound --state failed
              runner queues pause outbound
              runner queues retry outbound --all
            """,
        subcommands: [
            ListQueues.self, ShowQueue.self, PeekQueue.self, PauseQueue.self, ResumeQueue.self, RetryJobs.self,
            DiscardJobs.self, DrainQueue.self, PromoteJobs.self, AddJob.self,
        ]
    )
}

struct ListQueues: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the queues with how many jobs are in each state.",
        discussion: "Examples:\n  runner queues list\n  runner queues list --json"
    )

    @OptionGroup var options: RedisOptions

    func run() async throws {
        let counts = try await options.connected { redis, prefix in
            var counts: [(String, QueueCounts)] = []
            for name in try await QueueControl.names(redis: redis, prefix: prefix) {
                counts.append((name, try await QueueInspector(redis: redis, prefix: prefix).counts(name)))
            }
            return counts
        }
        if options.json { return print(JSON.array(counts.map { $1.json($0) }).text) }
        let rows = counts.map { name, counts in
            [
                name, "\(counts.wait + counts.prioritized)", "\(counts.active)", "\(counts.delayed)",
                "\(counts.completed)", "\(counts.failed)",
                counts.oldestWaitingAge.map { "\(Int($0 / .seconds(1)))s" } ?? "-", counts.isPaused ? "paused" : "",
            ]
        }
        print(Table(["QUEUE", "WAITING", "ACTIVE", "DELAYED", "COMPLETED", "FAILED", "OLDEST", ""], rows: rows))
    }
}

struct ShowQueue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Shows one queue, or one job of it with its log.",
        discussion: "Examples:\n  runner queues show outbound\n  runner queues show outbound 17 --json"
    )

    @OptionGroup var options: QueueOptions

    @Argument(help: "A job's id.")
    var job: String?

    func run() async throws {
        let name = options.queue
        guard let job else {
            let counts = try await options.connected { _, inspector in try await inspector.counts(name) }
            return print(options.redis.json ? counts.json(name).text : lines(of: counts.json(name)))
        }
        let (record, log) = try await options.connected { control, _ in
            (try await control.job(job), try await control.log(of: job))
        }
        guard let record else { throw ValidationError("The queue \(name) has no job \"\(job)\".") }
        guard case .object(let members) = record.json else { return }
        let whole = JSON.object(members + [.init("log", .array(log.map { .string($0) }))])
        print(options.redis.json ? whole.text : lines(of: whole))
    }

    private func lines(of json: JSON) -> String {
        Terminal.table(
            (json.members ?? []).filter { $0.value != .null }.map { member in
                [member.name, member.value.string ?? member.value.text]
            }
        )
    }
}

struct PeekQueue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peek",
        abstract: "Lists jobs: waiting ones in their order, finished ones the newest first.",
        discussion: """
            Examples:
              runner queues peek outbound
              runner queues peek outbound --state failed --limit 50 --json
            """
    )

    @OptionGroup var options: QueueOptions

    @Option(help: "waiting, active, delayed, completed or failed.")
    var state = QueueControl.State.waiting

    @Option(help: "How many.")
    var limit = 20

    @Option(help: "How many to pass over.")
    var offset = 0

    func validate() throws {
        guard (1...1000).contains(limit), offset >= 0 else { throw ValidationError("--limit is 1 to 1000.") }
    }

    func run() async throws {
        let (state, limit, offset) = (state, limit, offset)
        let jobs = try await options.connected { control, _ in
            try await control.jobs(state, from: offset, count: limit)
        }
        if options.redis.json { return print(JSON.array(jobs.map(\.json)).text) }
        let rows = jobs.map { job in
            [
                job.id, job.name, "\(job.attemptsMade)", job.added.formatted(.iso8601),
                String((job.failedReason ?? job.data).prefix(100)),
            ]
        }
        print(Table(["JOB", "NAME", "ATTEMPTS", "ADDED", state == .failed ? "REASON" : "DATA"], rows: rows))
    }
}

extension QueueControl.State: ExpressibleByArgument {}

struct PauseQueue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Lets nobody take jobs of a queue; what runs goes on.",
        discussion: "Example:\n  runner queues pause outbound"
    )

    @OptionGroup var options: QueueOptions

    func run() async throws {
        let changed = try await options.connected { control, _ in try await control.pause() }
        if options.redis.json { return print(JSON.object([.init("changed", .bool(changed))]).text) }
        print(changed ? "\(options.queue) is paused" : "\(options.queue) was paused already")
    }
}

struct ResumeQueue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Lets workers take jobs of a queue again.",
        discussion: "Example:\n  runner queues resume outbound"
    )

    @OptionGroup var options: QueueOptions

    func run() async throws {
        let changed = try await options.connected { control, _ in try await control.resume() }
        if options.redis.json { return print(JSON.object([.init("changed", .bool(changed))]).text) }
        print(changed ? "\(options.queue) goes on" : "\(options.queue) was not paused")
    }
}
