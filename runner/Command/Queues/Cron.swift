import ArgumentParser
import Foundation
import Functions
import Host
import Logging
import Manifest
import Postgres
import Queue
import Redis

struct CronCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cron",
        abstract: "Shows the schedules, and runs one now.",
        discussion: """
            Examples:
              runner cron list
              runner cron run sweep-work
            """,
        subcommands: [ListSchedules.self, RunSchedule.self]
    )
}

struct ListSchedules: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the schedules: when each is due, how its last fire went, and what it missed.",
        discussion: "Examples:\n  runner cron list\n  runner cron list --json"
    )

    @OptionGroup var options: RedisOptions

    func run() async throws {
        let bundle = try options.bundle.bundle()
        let functions = try bundle.manifest().functions.filter { $0.trigger.kind == .schedule }
        let next = try await options.connected { redis, prefix in
            let schedulers = try await JobSchedulers(redis: redis, prefix: prefix, queue: Schedules.queue).list()
            return Dictionary(schedulers.map { ($0.id, $0.next) }, uniquingKeysWith: { first, _ in first })
        }
        let records = await records(bundle)
        let time = { (date: Date?) in date.map { $0.formatted(.iso8601) } }
        guard options.json else {
            let rows = functions.map { function in
                let last = records?[function.name]
                return [
                    function.name, schedule(of: function), time(next[function.name]) ?? "-", time(last?.due) ?? "-",
                    last.map(outcome) ?? "-", last.map { "\($0.missed)" } ?? "-", last.map { "\($0.skipped)" } ?? "-",
                ]
            }
            print(Table(["FUNCTION", "SCHEDULE", "NEXT", "LAST", "WENT", "MISSED", "SKIPPED"], rows: rows))
            if records == nil { Terminal.error("PostgreSQL can't be asked how the last fires went.") }
            return
        }
        func text(_ value: String?) -> JSON {
            guard let value else { return .null }
            return .string(value)
        }
        func number(_ value: Int?) -> JSON { .number("\(value ?? 0)") }
        let all = functions.map { function -> JSON in
            let last = records?[function.name]
            return [
                "function": .string(function.name), "schedule": .string(schedule(of: function)),
                "nextAt": text(time(next[function.name])), "lastAt": text(time(last?.due)),
                "went": text(last.map(outcome)), "error": text(last?.error), "fires": number(last?.fires),
                "failures": number(last?.failures), "missed": number(last?.missed),
                "lastMissedAt": text(time(last?.lastMissed)), "skipped": number(last?.skipped),
            ]
        }
        print(JSON.array(all).text)
    }

    private func schedule(of function: FunctionDeclaration) -> String {
        guard case .schedule(let trigger) = function.trigger else { return "" }
        return "\(trigger.cron) \(trigger.timezone)"
    }

    private func outcome(_ record: ScheduleStore.Record) -> String {
        guard record.ended != nil else { return "runs" }
        return record.error == nil ? "well" : "failed"
    }

    /// `nil` where PostgreSQL is away or not set: the schedules are listed all the same.
    private func records(_ bundle: Bundle) async -> [String: ScheduleStore.Record]? {
        guard let environment = try? bundle.environment() else { return nil }
        let own = PrivateAddresses.read(root: bundle.root.path)?.database
        guard let url = environment["DATABASE_URL"] ?? own else { return nil }
        let logger = Logger(label: "database", factory: { _ in SwiftLogNoOpLogHandler() })
        let postgres = Postgres(PostgresConfiguration(url: url), logger: logger)
        let records = try? await ScheduleStore(postgres).all()
        await postgres.shutdown()
        return records.map { Dictionary($0.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first }) }
    }
}

struct RunSchedule: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Has a host run a schedule now, beside its times.",
        discussion: """
            The host that runs must be there; `runner invoke NAME` needs none.

            Examples:
              runner cron run sweep-work
              runner cron run sweep-work --json
            """
    )

    @OptionGroup var options: RedisOptions

    @Argument(help: "The function's name in functions.yaml.")
    var name: String

    func run() async throws {
        let name = name
        let functions = try options.bundle.bundle().manifest().functions.filter { $0.trigger.kind == .schedule }
        guard functions.contains(where: { $0.name == name }) else {
            let known = functions.map(\.name).joined(separator: ", ")
            throw ValidationError("There is no schedule \"\(name)\"; there are \(known).")
        }
        let id = try await options.connected { redis, prefix in
            try await Producer(redis: redis, prefix: prefix).add(Schedules.job(of: name), to: Schedules.queue)
        }
        print(options.json ? JSON.object([.init("id", .string(id))]).text : "job \(id) of the queue \(Schedules.queue)")
    }
}
