import ArgumentParser
import Foundation
import Functions
import Manifest
import Queue
import Redis

/// Which jobs a verb is for: some by their ids, or all.
struct JobSelection: ParsableArguments {
    @Argument(help: "Ids of jobs.")
    var jobs: [String] = []

    @Flag(help: "All of them.")
    var all = false

    func validate() throws {
        guard all == jobs.isEmpty else { throw ValidationError("Name jobs, or say --all.") }
    }

    /// The ids, `nil` for all.
    var ids: [String]? { all ? nil : jobs }
}

extension QueueOptions {
    /// Says how many jobs are concerned and asks, changes them, and says how many were changed.
    func change(
        _ doing: String,
        _ done: String,
        _ selection: JobSelection,
        _ confirmation: Confirmation,
        count: @escaping @Sendable (QueueCounts) -> Int,
        _ body: @escaping @Sendable (QueueControl) async throws -> Int
    ) async throws {
        let name = queue
        let changed = try await connected { control, inspector in
            if selection.all {
                let concerned = count(try await inspector.counts(name))
                guard concerned > 0 else { return 0 }
                try confirmation.ask("\(doing) \(concerned) jobs of \(name)")
            }
            return try await body(control)
        }
        print(redis.json ? JSON.object([.init("jobs", .number("\(changed)"))]).text : "\(done) \(changed) jobs")
        // One that was named and isn't there is a mistake of the caller's.
        if !selection.all, changed < selection.jobs.count { throw ExitCode(1) }
    }
}

struct RetryJobs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry",
        abstract: "Makes failed jobs run again.",
        discussion: "Examples:\n  runner queues retry outbound 17 18\n  runner queues retry outbound --all --yes"
    )

    @OptionGroup var options: QueueOptions
    @OptionGroup var selection: JobSelection
    @OptionGroup var confirmation: Confirmation

    @Flag(help: "Completed ones instead.")
    var completed = false

    func run() async throws {
        let state = completed ? QueueControl.State.completed : .failed
        let selection = selection
        try await options.change("Retry", "retried", selection, confirmation, count: { $0.count(of: state) }) {
            try await $0.runAgain(state, selection.ids)
        }
    }
}

struct PromoteJobs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Makes delayed jobs run now.",
        discussion: "Examples:\n  runner queues promote outbound 17\n  runner queues promote outbound --all --yes"
    )

    @OptionGroup var options: QueueOptions
    @OptionGroup var selection: JobSelection
    @OptionGroup var confirmation: Confirmation

    func run() async throws {
        let selection = selection
        try await options.change("Promote", "promoted", selection, confirmation, count: \.delayed) {
            try await $0.runAgain(.delayed, selection.ids)
        }
    }
}

struct DiscardJobs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "Removes jobs for good: some by their ids, or all of a state.",
        discussion: """
            Jobs that run stay, and the next job of a schedule.

            Examples:
              runner queues discard outbound 17 18
              runner queues discard outbound --all --state failed --older 7d --yes
            """
    )

    @OptionGroup var options: QueueOptions
    @OptionGroup var selection: JobSelection
    @OptionGroup var confirmation: Confirmation

    @Option(help: "With --all: waiting, delayed, completed or failed.")
    var state = QueueControl.State.failed

    @Option(help: "With --all, of finished jobs only those that finished so long ago, such as 12h or 7d.")
    var older: String?

    func validate() throws {
        guard state != .active else { throw ValidationError("Jobs that run can't be discarded.") }
        if let older, DurationText.parse(older) == nil { throw ValidationError("--older is such as 12h or 7d.") }
    }

    func run() async throws {
        let (selection, state) = (selection, state)
        let age = older.flatMap { DurationText.parse($0) } ?? .zero
        let what = age == .zero ? "Discard" : "Discard those that are old enough of"
        try await options.change(what, "discarded", selection, confirmation, count: { $0.count(of: state) }) {
            if let ids = selection.ids { return try await $0.remove(ids) }
            let now = Int64(Date().timeIntervalSince1970 * 1000)
            return try await $0.removeAll(state, olderThan: age, now: now)
        }
    }
}

struct DrainQueue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Removes every waiting job of a queue, and with --delayed every delayed one.",
        discussion: "Examples:\n  runner queues drain campaigns\n  runner queues drain campaigns --delayed --yes"
    )

    @OptionGroup var options: QueueOptions
    @OptionGroup var confirmation: Confirmation

    @Flag(help: "Delayed ones too.")
    var delayed = false

    func run() async throws {
        let delayed = delayed
        let count: @Sendable (QueueCounts) -> Int = {
            $0.count(of: .waiting) + (delayed ? $0.count(of: .delayed) : 0)
        }
        var selection = JobSelection()
        selection.jobs = []
        selection.all = true
        try await options.change("Remove", "removed", selection, confirmation, count: count) {
            var removed = try await $0.removeAll(.waiting, now: 0)
            if delayed { removed += try await $0.removeAll(.delayed, now: 0) }
            return removed
        }
    }
}

struct AddJob: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Adds a job.",
        discussion: """
            `runner describe FUNCTION` shows what its data must be.

            Examples:
              runner queues add outbound --name deliver-message --data '{"orgId":"…","ticketId":"…"}'
              runner queues add outbound --name deliver-message --data '{}' --delay 10m --priority 3
            """
    )

    @OptionGroup var options: RedisOptions

    @Argument(help: "The queue's name; it is made where there is none.")
    var queue: String

    @Option(help: "The job's name, by custom the function's.")
    var name: String

    @Option(help: "Its data: JSON.")
    var data = "{}"

    @Option(help: "An id of your own; a second job of it is not added.")
    var id: String?

    @Option(help: "How long it waits, such as 10m.")
    var delay: String?

    @Option(help: "0 runs first, then 1 and so on.")
    var priority = 0

    @Option(help: "How often it may be started.")
    var attempts: Int?

    func validate() throws {
        if let delay, DurationText.parse(delay) == nil { throw ValidationError("--delay is such as 30s or 10m.") }
        guard (try? JSON.parse(data)) != nil else { throw ValidationError("--data is not JSON.") }
        guard (0...2_097_151).contains(priority) else { throw ValidationError("--priority is 0 to 2097151.") }
    }

    func run() async throws {
        let job = NewJob(
            name: name,
            data: data,
            id: id,
            delay: delay.flatMap { DurationText.parse($0) },
            priority: priority,
            attempts: attempts
        )
        let queue = queue
        let added = try await options.connected { try await Producer(redis: $0, prefix: $1).add(job, to: queue) }
        print(options.json ? JSON.object([.init("id", .string(added))]).text : added)
    }
}

extension QueueCounts {
    func count(of state: QueueControl.State) -> Int {
        switch state {
        case .waiting: wait + prioritized
        case .active: active
        case .delayed: delayed
        case .completed: completed
        case .failed: failed
        }
    }
}
