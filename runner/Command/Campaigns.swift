import ArgumentParser
import Foundation
import Functions
import Manifest
import Postgres
import Redis

struct Campaigns: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watches campaigns.",
        discussion: """
            Example:
              runner campaigns watch 01936f5e-7a00-7000-8000-000000000001 --as admin@example.com
            """,
        subcommands: [WatchCampaign.self]
    )
}

struct WatchCampaign: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Shows how far a campaign is, until it has ended.",
        discussion: """
            One line a second where the output is no terminal. Ends with 0 once the campaign is completed, and with 1 once it is
            cancelled and nobody is being sent to.

            Example:
              runner campaigns watch 01936f5e-7a00-7000-8000-000000000001 --as admin@example.com
            """
    )

    @OptionGroup var options: BundleOptions

    @Argument(help: "The campaign's id.")
    var id: String

    @Option(name: .customLong("as"), help: "The e-mail address of a user of its organisation.")
    var user: String

    func run() async throws {
        guard let campaign = UUID(uuidString: id) else { throw ValidationError("\"\(id)\" is no id.") }
        let bundle = try options.bundle()
        var environment = try bundle.environment()
        if let own = PrivateAddresses.read(root: bundle.root.path) {
            environment.merge(["DATABASE_URL": own.database, "REDIS_URL": own.redis]) { given, _ in given }
        }
        let settings = try Bootstrap.settings(try bundle.manifest(), environment: environment)
        let logger = Bootstrap.logger(settings, environment: environment, descriptor: STDERR_FILENO)
        let services = try Bootstrap.services(settings, logger: logger)
        let result = await Result { try await watch(campaign, services.postgres) }
        await services.postgres.shutdown()
        await services.redis.shutdown()
        try result.get()
    }

    private func watch(_ campaign: UUID, _ postgres: Postgres) async throws {
        let known = try await postgres.query("SELECT org_id FROM find_login(\(user))")
        guard let organisation: Tenant.ID = try known.first?.get("org_id") else {
            throw ValidationError("There is no user with the e-mail address \(user).")
        }
        let isTerminal = isatty(STDOUT_FILENO) == 1
        var last: (done: Int, at: ContinuousClock.Instant)?
        while true {
            let rows = try await postgres.run([
                OrganisationScope.entry(organisation),
                """
                SELECT c.name, c.status, n.total, n.pending, n.failed
                  FROM campaigns AS c
                  JOIN campaign_counters AS n ON n.org_id = c.org_id AND n.campaign_id = c.id
                 WHERE c.org_id = \(organisation) AND c.id = \(campaign)
                """,
            ])[1]
            guard let row = rows.first else { throw ValidationError("There is no such campaign.") }
            let now = ContinuousClock.now
            let progress = CampaignProgress(
                name: try row.get("name"),
                status: try row.get("status"),
                total: try row.get("total"),
                pending: try row.get("pending"),
                failed: try row.get("failed")
            )
            let rate = last.map { Double(progress.done - $0.done) / max(0.001, $0.at.duration(to: now).inSeconds) }
            last = (progress.done, now)
            print(progress.line(rate: rate), terminator: isTerminal ? "\u{1B}[K\r" : "\n")
            fflush(nil)
            if progress.hasEnded {
                if isTerminal { print() }
                if progress.status == "cancelled" { throw ExitCode(1) }
                return
            }
            try await Task.sleep(for: .seconds(1))
        }
    }
}

/// One line on how far a campaign is.
struct CampaignProgress: Sendable {
    let name: String
    let status: String
    let total: Int
    let pending: Int
    let failed: Int

    private static let width = 30

    var done: Int { total - pending }
    var hasEnded: Bool { status == "completed" || (status == "cancelled" && pending == 0) }

    /// - Parameter rate: recipients per second lately.
    /// - Returns: a bar, the counts, and how long it takes yet.
    func line(rate: Double?) -> String {
        let share = total == 0 ? 0 : Double(done) / Double(total)
        let filled = Int(share * Double(Self.width))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.width - filled)
        var parts = ["\(name)  \(bar) \(Int(share * 100)) %", "\(done) of \(total)", status]
        if let rate, rate > 0 {
            parts.append("\(Int(rate.rounded()))/s")
            parts.append("\(Int((Double(pending) / rate).rounded(.up))) s left")
        }
        if failed > 0 { parts.append("\(failed) failed") }
        return parts.joined(separator: " · ")
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
