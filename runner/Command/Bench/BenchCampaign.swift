import ArgumentParser
import Fleet
import Foundation
import Helpdesk
import Logging
import Manifest
import Postgres

struct BenchCampaign: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "campaign",
        abstract: "A campaign's upload and sends beside their parts; --chaos kills workers and servers meanwhile.",
        discussion: """
            A stand-in of WhatsApp, in a process of its own, takes the sends.

            Without options: an upload beside a bare COPY with the same INSERT … SELECT under no policy, then the sends of one
            worker beside a loop of async-http-client alone and beside wrk, where that is installed.
            With --rate: whether four workers keep to a rate, by the provider's clock.
            With --chaos: four workers, of which one is killed every five seconds, PostgreSQL and Redis, which are restarted once
            each, and a provider that fails in every way; then who was sent to, and how often.

            Examples:
              runner bench campaign
              runner bench campaign --recipients 1000000
              runner bench campaign --rate 50 --seconds 60
              runner bench campaign --chaos --recipients 1000000
              runner bench campaign --chaos --recipients 3000 --rate 200 --hurry
            """
    )

    @OptionGroup var bundle: BundleOptions

    @Option(help: "How many are sent to.")
    var recipients = 100_000

    @Option(help: "Sends per second that the campaign allows itself; 0 for as many as possible.")
    var rate = 0

    @Option(help: "With --rate and without --chaos, for how long.")
    var seconds = 60

    @Flag(help: "Kill workers and restart the servers meanwhile.")
    var chaos = false

    @Flag(help: "With --chaos, wait for no evidence of lost answers once nothing moves any more.")
    var hurry = false

    @Option(help: .hidden)
    var standIn: Int?

    func validate() throws {
        guard (100...1_000_000).contains(recipients) else { throw ValidationError("--recipients is 100 to 1000000.") }
        guard (0...10_000).contains(rate) else { throw ValidationError("--rate is 0 to 10000.") }
        guard (2...3600).contains(seconds) else { throw ValidationError("--seconds is 2 to 3600.") }
    }

    func run() async throws {
        if let standIn { return try await StandIn.serve(port: standIn, isFaulty: chaos) }
        let world = try await BenchWorld.make(try bundle.bundle())
        do {
            let stage = try await CampaignStage.make(in: world, isFaulty: chaos)
            if chaos {
                try await CampaignChaos(stage, recipients: recipients, perSecond: rate, isHurried: hurry).run()
            } else if rate > 0 {
                try await pace(stage)
            } else {
                try await measure(stage)
            }
            await world.end()
        } catch {
            if !(error is ExitCode) { Terminal.error(world.log.suffix(4000).description) }
            await world.end()
            throw error
        }
    }

    // MARK: A rate

    private func pace(_ stage: CampaignStage) async throws {
        for number in 1...4 { _ = try await stage.worker(number) }
        let count = rate * seconds
        let campaign = try await stage.campaign(perSecond: rate)
        _ = try await stage.upload(count, to: campaign)
        try await stage.start(campaign)
        _ = try await end(of: campaign, on: stage)
        let times = try await stage.times()
        let (mean, most) = Self.rates(times)
        print("\(times.count) of \(count) sent at \(mean.short)/s by the provider's clock; asked were \(rate)/s")
        print("most in any second: \(most)")
        let isKept = abs(mean - Double(rate)) <= Double(rate) * 0.02 && most <= rate + max(1, rate / 10)
        guard times.count == count, isKept else { throw ExitCode(1) }
    }

    /// Of sorted times in seconds: how many a second over all, and the most within any one second.
    static func rates(_ times: [Double]) -> (mean: Double, most: Int) {
        guard times.count > 1, let first = times.first, let last = times.last, last > first else {
            return (0, times.count)
        }
        var most = 0
        var end = 0
        for start in times.indices {
            while end < times.count, times[end] < times[start] + 1 { end += 1 }
            most = max(most, end - start)
        }
        return (Double(times.count - 1) / (last - first), most)
    }

    // MARK: Speed

    private func measure(_ stage: CampaignStage) async throws {
        let bare = try await bareUpload(stage)
        let campaign = try await stage.campaign()
        let uploaded = Double(recipients) / (try await stage.upload(recipients, to: campaign))
        let uploadPeak = stage.api.residentMiB.peak
        let worker = try await stage.worker(1)
        try await stage.start(campaign)
        let began = ContinuousClock.now
        let stats = try await end(of: campaign, on: stage)
        let sent = Double(recipients) / began.duration(to: .now).inSeconds
        let workerPeak = worker.residentMiB.peak
        _ = await worker.stop(SIGTERM, grace: .seconds(10))
        let loop = try await stage.bareLoop(min(recipients, 100_000), connections: 64)
        let wrk = try await stage.wrk(seconds: 10, connections: 64)
        print(
            Table(
                ["", "per second", "ratio"],
                rows: [
                    ["upload, rows", uploaded.whole, (uploaded / bare).short],
                    ["bare COPY and the same statements, no policy", bare.whole, ""],
                    ["sends, one worker", sent.whole, ""],
                    ["async-http-client alone, 64 connections", loop.whole, (sent / loop).short],
                    ["wrk, 64 connections", wrk?.whole ?? "not installed", wrk.map { (sent / $0).short } ?? ""],
                ]
            )
        )
        print("\(stats.sent) of \(recipients) sent")
        print(
            "most memory: \(uploadPeak.short) MiB of the host that took the upload, \(workerPeak.short) MiB of the worker"
        )
    }

    /// Until nobody is left.
    private func end(of campaign: String, on stage: CampaignStage) async throws -> CampaignStage.Stats {
        while true {
            if let stats = try await stage.stats(campaign) {
                guard stats.sum == stats.total else { throw ValidationError("the stats don't add up: \(stats)") }
                if stats.pending == 0 { return stats }
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Rows per second of what the upload does in the database, by a role that no policy binds.
    private func bareUpload(_ stage: CampaignStage) async throws -> Double {
        let statements = try MeasuredStatements.upload(
            to: try await stage.campaign(),
            on: stage.channel,
            of: stage.organisation.id
        )
        let count = recipients
        return try await Owner.connected(stage.world.unbound) { postgres in
            let began = ContinuousClock.now
            _ = try await postgres.transaction(opening: [], timeout: .seconds(3600)) { connection in
                _ = try await connection.query(statements.table)
                _ = try await connection.copyIn(statements.copy, CopyLines(count: count))
                return try await connection.run(statements.rest)
            }
            return Double(count) / began.duration(to: .now).inSeconds
        }
    }
}

/// As many recipients as the upload has, others than those, in the text form of COPY.
private struct CopyLines: AsyncSequence {
    let count: Int

    struct Iterator: AsyncIteratorProtocol {
        let count: Int
        var number = 0

        mutating func next() -> [UInt8]? {
            guard number < count else { return nil }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(300 << 10)
            while number < count, bytes.count < 256 << 10 {
                number += 1
                let phone = "+4916\(1_000_000_000 + number)"
                bytes.append(contentsOf: "\(number)\t\(phone)\t\\N\tCustomer \(number)\t{\"city\":\"Berlin\"}\n".utf8)
            }
            return bytes
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(count: count) }
}
