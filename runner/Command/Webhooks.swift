import ArgumentParser
import Foundation
import Functions
import Helpdesk
import Manifest
import Postgres
import Redis

struct Webhooks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists what webhooks told that nobody could understand, and plays it again.",
        discussion: """
            Such events are kept for 30 days. Play them again after a release that understands them.

            Examples:
              runner webhooks list --since 24h
              runner webhooks replay --dry-run
              runner webhooks replay --channel 01936f5e-7a00-7000-8000-000000000001 --yes
            """,
        subcommands: [ListWebhooks.self, ReplayWebhooks.self]
    )
}

/// Which of the kept events a verb is for, and where they lie.
struct KeptEventOptions: ParsableArguments {
    @OptionGroup var bundle: BundleOptions

    @Option(help: "Only this channel's.")
    var channel: String?

    @Option(help: "Only those kept since: so long ago (24h, 7d), or a time (2026-11-22T14:45:00Z).")
    var since: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if let channel, UUID(uuidString: channel) == nil { throw ValidationError("--channel \(channel) is no id.") }
        if since != nil, moment == nil { throw ValidationError("--since is such as 24h or 2026-11-22T14:45:00Z.") }
    }

    var channelId: UUID? { channel.flatMap { UUID(uuidString: $0) } }

    var moment: Date? {
        since.flatMap { text in
            RFC3339.parse(text)
                ?? DurationText.parse(text).map { Date(timeIntervalSinceNow: -($0 / .seconds(1))) }
        }
    }

    /// Runs a command on the product's own database and queue: the private ones of a running `runner up` where none is set.
    func connected(_ body: (UnprocessedEvents) async throws -> Void) async throws {
        let bundle = try bundle.bundle()
        var environment = Bootstrap.withAliases(try bundle.environment())
        if let own = PrivateAddresses.read(root: bundle.root.path) {
            environment.merge(["DATABASE_URL": own.database, "REDIS_URL": own.redis]) { given, _ in given }
        }
        let settings = try Bootstrap.settings(try bundle.manifest(), environment: environment)
        let logger = Bootstrap.logger(settings, environment: environment, descriptor: STDERR_FILENO)
        let services = try Bootstrap.services(settings, logger: logger)
        do {
            try await body(UnprocessedEvents(services))
        } catch {
            await services.postgres.shutdown()
            await services.redis.shutdown()
            throw error
        }
        await services.postgres.shutdown()
        await services.redis.shutdown()
    }
}

struct ListWebhooks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the kept events, the oldest first.",
        discussion: "Examples:\n  runner webhooks list\n  runner webhooks list --since 7d --replayed --json"
    )

    @OptionGroup var options: KeptEventOptions

    @Flag(help: "Those too that were played again.")
    var replayed = false

    func run() async throws {
        var events: [UnprocessedEvents.Event] = []
        try await options.connected { kept in
            try await kept.each(of: options.channelId, since: options.moment, withReplayed: replayed) {
                events.append($0)
            }
        }
        if options.json { return print(JSON.array(events.map(\.json)).text) }
        let rows = events.map { event in
            [
                event.id.uuidString.lowercased(), event.channel?.uuidString.lowercased() ?? "-",
                event.createdAt.formatted(.iso8601), event.replayedAt == nil ? "" : "replayed",
                String(event.reason.prefix(100)),
            ]
        }
        print(Table(["EVENT", "CHANNEL", "KEPT", "", "REASON"], rows: rows))
    }
}

struct ReplayWebhooks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Plays kept events again, as if they had just come.",
        discussion: """
            Says how many first and asks; where there is no terminal it needs --yes. What is there already stays as it is, so an event
            may be played any number of times; those that were are left out.

            Examples:
              runner webhooks replay --dry-run
              runner webhooks replay --since 24h --yes
            """
    )

    @OptionGroup var options: KeptEventOptions
    @OptionGroup var confirmation: Confirmation

    @Flag(help: "Tell what would become of them and do nothing.")
    var dryRun = false

    func run() async throws {
        var outcomes: [UnprocessedEvents.Outcome: Int] = [:]
        try await options.connected { kept in
            if !dryRun {
                var count = 0
                try await kept.each(of: options.channelId, since: options.moment) { _ in count += 1 }
                guard count > 0 else { return }
                try confirmation.ask("Play \(count) events again")
            }
            try await kept.each(of: options.channelId, since: options.moment) { event in
                outcomes[try await kept.replay(event, isTrial: dryRun), default: 0] += 1
            }
        }
        let counts = UnprocessedEvents.Outcome.allCases.map { ($0, outcomes[$0] ?? 0) }
        if options.json {
            return print(JSON.object(counts.map { .init($0.0.rawValue, .number("\($0.1)")) }).text)
        }
        let words: [UnprocessedEvents.Outcome: String] = [
            .queued: dryRun ? "would be queued" : "queued", .unreadable: "still can't be read",
            .channelGone: "are of channels that are gone or disabled", .gone: "are gone",
        ]
        for (outcome, count) in counts where count > 0 || outcome == .queued {
            print("\(count) \(words[outcome] ?? outcome.rawValue)")
        }
    }
}

extension UnprocessedEvents.Event {
    fileprivate var json: JSON {
        [
            "id": .string(id.uuidString.lowercased()), "organisation": .string("\(organisation)"),
            "channel": channel.map { .string($0.uuidString.lowercased()) } ?? .null, "queue": .string(queue),
            "job": .string(job), "reason": .string(reason), "keptAt": .string(createdAt.rfc3339),
            "replayedAt": replayedAt.map { .string($0.rfc3339) } ?? .null,
        ]
    }
}
