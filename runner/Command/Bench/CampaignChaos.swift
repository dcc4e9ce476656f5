import ArgumentParser
import Fleet
import Foundation
import Postgres

/// Sends a campaign while its workers are killed in turn and both servers restarted, to a provider that fails in every way, and sees
/// that nobody was sent to twice and that whoever isn't known to have been sent to is one whose answer a crash or the
/// provider kept from us.
///
/// Each worker sends under a number of its own, which the provider notes, so of every send it is known which process began
/// it and when that was killed.
final class CampaignChaos {
    private static let workers = 4
    private static let killEvery = Duration.seconds(5)
    /// How long before a process was killed it may have begun a send whose end it didn't live to see, in seconds.
    private static let longestSend = 15

    private let stage: CampaignStage
    private let recipients: Int
    private let perSecond: Int
    private let isHurried: Bool

    /// A process that is gone, or a PostgreSQL that was; `worker` is 0 for that.
    private struct Death {
        let worker: Int
        let at: Date
    }

    private var deaths: [Death] = []
    private var alive: [(number: Int, port: Int, process: ChildProcess)] = []
    private var peaks: [Double] = []
    private var lastNumber = 0
    private var apiMemory: [Double] = []
    private var polls = (all: 0, wrong: 0, unanswered: 0)

    init(_ stage: CampaignStage, recipients: Int, perSecond: Int, isHurried: Bool) {
        self.stage = stage
        self.recipients = recipients
        self.perSecond = perSecond
        self.isHurried = isHurried
    }

    func run() async throws {
        let campaign = try await stage.campaign(perSecond: perSecond)
        _ = try await stage.upload(recipients, to: campaign)
        for _ in 0..<Self.workers { try await bear(on: stage.world.nextPort()) }
        try await stage.start(campaign)
        let began = ContinuousClock.now
        let stats = try await send(campaign)
        let seconds = began.duration(to: .now).inSeconds
        for worker in alive { peaks.append(worker.process.residentMiB.peak) }
        try await judge(campaign, stats, seconds)
    }

    // MARK: Dying

    private func bear(on port: Int) async throws {
        lastNumber += 1
        alive.append((lastNumber, port, try await stage.worker(lastNumber, port: port)))
    }

    /// Kills the worker that has lived longest and starts another.
    private func kill() async throws {
        let victim = alive.removeFirst()
        peaks.append(victim.process.residentMiB.peak)
        _ = await victim.process.stop(SIGKILL, grace: .zero)
        deaths.append(Death(worker: victim.number, at: Date()))
        try await bear(on: victim.port)
    }

    private func restart(isPostgres: Bool) async throws {
        guard isPostgres else { return try await stage.world.restartRedis() }
        deaths.append(Death(worker: 0, at: Date()))
        try await stage.world.restartPostgres()
        deaths.append(Death(worker: 0, at: Date()))
    }

    // MARK: Sending

    /// Until the campaign is completed.
    private func send(_ campaign: String) async throws -> CampaignStage.Stats {
        var nextKill = ContinuousClock.now + Self.killEvery
        var moved = (pending: recipients, at: ContinuousClock.now)
        var isQuiet = false
        // How many are left when PostgreSQL is restarted, and when Redis is.
        var restarts = [recipients * 2 / 3, recipients / 3]
        while true {
            try await Task.sleep(for: .milliseconds(200))
            let stats = try await poll(campaign)
            if let stats {
                if stats.completedAt != nil { return stats }
                if stats.pending != moved.pending { moved = (stats.pending, .now) }
                if let next = restarts.first, stats.pending <= next {
                    restarts.removeFirst()
                    try await restart(isPostgres: restarts.count == 1)
                    moved.at = .now
                }
            } else {
                moved.at = .now
            }
            if !isQuiet, ContinuousClock.now >= nextKill {
                nextKill = ContinuousClock.now + Self.killEvery
                try await kill()
            }
            // Longer than any send takes here, so nobody is at anything any more but waits for what nobody will tell.
            if isHurried, moved.at.duration(to: .now) > .seconds(4) {
                isQuiet = true
                try await Owner.connected(stage.world.unbound) {
                    _ = try await $0.query("UPDATE campaign_batches SET due_at = now() WHERE due_at > now()")
                }
                moved.at = .now
            }
        }
    }

    private func poll(_ campaign: String) async throws -> CampaignStage.Stats? {
        polls.all += 1
        apiMemory.append(stage.api.residentMiB.now)
        guard let stats = try await stage.stats(campaign) else {
            polls.unanswered += 1
            return nil
        }
        if stats.sum != stats.total || stats.total != recipients {
            polls.wrong += 1
            Terminal.error("stats that don't add up: \(stats)")
        }
        return stats
    }

    // MARK: Judging

    private func judge(_ campaign: String, _ stats: CampaignStage.Stats, _ seconds: Double) async throws {
        let verdict = try await compare(campaign)
        let kills = deaths.filter { $0.worker > 0 }.count
        let unknown = stats.failuresByCode["outcome_unknown"] ?? 0
        print(
            """
            \(recipients) recipients in \(seconds.short) s, \((Double(recipients) / seconds).whole)/s, \(kills) workers killed, \
            PostgreSQL and Redis restarted
            sent \(stats.sent), outcome_unknown \(unknown), failed otherwise \(stats.failed - unknown), pending \(stats.pending)
            taken by the provider \(verdict.taken), of these more than once: \(verdict.twice)
            answers that the provider kept back \(verdict.hidden), of these not outcome_unknown: \(verdict.hiddenButKnown)
            outcome_unknown by the death of their worker \(verdict.died), before their send began \(verdict.unsent), \
            for no reason: \(verdict.unexplained)
            sent without the provider's answer, or answered without being sent: \(verdict.invented + verdict.forgotten)
            \(polls.all) polls of the stats, \(polls.unanswered) unanswered, not adding up: \(polls.wrong)
            most memory: \(memory)
            """
        )
        let faults = [
            verdict.twice, verdict.hiddenButKnown, verdict.unexplained, verdict.invented, verdict.forgotten,
            polls.wrong,
            stats.pending, stats.failed - unknown, stats.total - recipients,
        ]
        guard faults.allSatisfy({ $0 == 0 }) else { throw ExitCode(1) }
    }

    private var memory: String {
        let half = peaks.count / 2
        let (early, late) = (peaks.prefix(max(1, half)).max() ?? 0, peaks.dropFirst(half).max() ?? 0)
        let tenth = apiMemory.prefix(max(1, apiMemory.count / 10)).max() ?? 0
        return """
            workers \(early.short) MiB in the first half, \(late.short) in the second; \
            API \(tenth.short) MiB in the first tenth, \((apiMemory.suffix(10).max() ?? 0).short) at the end, \
            \(stage.api.residentMiB.peak.short) with the upload
            """
    }

    private struct Verdict {
        var taken = 0
        var twice = 0
        var hidden = 0
        var hiddenButKnown = 0
        var died = 0
        var unsent = 0
        var unexplained = 0
        var invented = 0
        var forgotten = 0
    }

    /// Puts what the provider took beside what the database says.
    private func compare(_ campaign: String) async throws -> Verdict {
        let file = try await stage.calls()
        let (workers, times) = (deaths.map(\.worker), deaths.map(\.at))
        return try await Owner.connected(stage.world.unbound) { postgres in
            let rows = try await postgres.transaction(opening: [], timeout: .seconds(600)) { connection in
                _ = try await connection.query(
                    """
                    CREATE TEMPORARY TABLE calls (phone text PRIMARY KEY, taken integer, hidden integer, worker integer, at bigint)
                    """
                )
                _ = try await connection.copyIn("COPY calls FROM STDIN (FORMAT csv)", FileChunks(path: file))
                return try await connection.query(Self.comparing(campaign, workers, times))
            }
            let row = rows[0]
            return Verdict(
                taken: try row.get("taken"),
                twice: try row.get("twice"),
                hidden: try row.get("hidden"),
                hiddenButKnown: try row.get("hidden_but_known"),
                died: try row.get("died"),
                unsent: try row.get("unsent"),
                unexplained: try row.get("unexplained"),
                invented: try row.get("invented"),
                forgotten: try row.get("forgotten")
            )
        }
    }

    private static func comparing(_ campaign: String, _ workers: [Int], _ times: [Date]) -> SQL {
        """
        WITH deaths AS (
            SELECT * FROM unnest(\(workers)::integer[], \(times)::timestamptz[]) AS x (worker, at)
        ),
        people AS (
            SELECT r.phone, r.status, coalesce(r.error_code, '') = 'outcome_unknown' AS is_unknown,
                   coalesce(c.taken, 0) AS taken, coalesce(c.hidden, 0) = 1 AS is_hidden,
                   coalesce(m.external_id LIKE 'wamid.' || substr(r.phone, 2) || '.%', false) AS has_id,
                   -- Begun by a process that was killed soon after, or just when that was.
                   EXISTS (
                       SELECT FROM deaths d
                        WHERE d.worker = c.worker
                          AND to_timestamp(c.at / 1000000.0)
                              BETWEEN d.at - make_interval(secs => \(longestSend)::integer) AND d.at + interval '2 seconds'
                   ) AS is_orphan,
                   EXISTS (
                       SELECT FROM deaths d
                        WHERE r.attempted_at
                              BETWEEN d.at - make_interval(secs => \(longestSend)::integer) AND d.at + interval '2 seconds'
                   ) AS is_near_a_death
              FROM campaign_recipients r
              LEFT JOIN calls c ON c.phone = r.phone
              LEFT JOIN messages m ON m.org_id = r.org_id AND m.id = r.id
             WHERE r.campaign_id = \(campaign)::uuid
        )
        SELECT coalesce(sum(taken), 0)::integer AS taken, count(*) FILTER (WHERE taken > 1)::integer AS twice,
               count(*) FILTER (WHERE is_hidden)::integer AS hidden,
               count(*) FILTER (WHERE is_hidden AND NOT is_unknown)::integer AS hidden_but_known,
               count(*) FILTER (WHERE is_unknown AND NOT is_hidden AND taken > 0 AND is_orphan)::integer AS died,
               count(*) FILTER (WHERE is_unknown AND taken = 0 AND is_near_a_death)::integer AS unsent,
               count(*) FILTER (
                   WHERE is_unknown AND NOT is_hidden
                     AND NOT CASE WHEN taken > 0 THEN is_orphan ELSE is_near_a_death END
               )::integer AS unexplained,
               count(*) FILTER (WHERE status = 'sent' AND NOT (taken = 1 AND NOT is_hidden AND has_id))::integer AS invented,
               count(*) FILTER (WHERE taken > 0 AND NOT is_hidden AND NOT is_unknown AND status <> 'sent')::integer AS forgotten
          FROM people
        """
    }
}

/// A file's bytes, a piece at a time.
private struct FileChunks: AsyncSequence {
    let path: String

    struct Iterator: AsyncIteratorProtocol {
        let handle: FileHandle?

        mutating func next() throws -> [UInt8]? {
            guard let data = try handle?.read(upToCount: 256 << 10), !data.isEmpty else { return nil }
            return Array(data)
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(handle: FileHandle(forReadingAtPath: path)) }
}
