import Foundation
import Postgres
import TestSupport
import Testing

/// Two processes that do the same: two schedulers, and two of every worker, with clocks that differ.
@Suite struct SeveralOfEachTests {
    /// How far the clocks of the two are apart, in seconds.
    private static let lead = 3

    /// `TEST_SEVERAL_SECONDS=600 runner/test --filter SeveralOfEach` by hand.
    private static let seconds = ProcessInfo.processInfo.environment["TEST_SEVERAL_SECONDS"].flatMap { Int($0) } ?? 20

    /// What a failing Redis or a worker's death left behind is taken up after two intervals of the search for stalled jobs, or by
    /// the second sweep: a minute isn't enough for it.
    private static let patience = Duration.seconds(180)

    @Test(.timeLimit(.minutes(30)))
    func everyScheduleFiresOnceForEachOfItsTimesAndNothingIsDoneTwice() async throws {
        let endpoints = try await RunningHost(hosting: ["--group", "api"])
        let others: [RunningHost] = try await withThrowingTaskGroup(of: RunningHost.self) { group in
            for (name, lead) in [("scheduler", 0), ("scheduler", Self.lead), ("workers", 0), ("workers", Self.lead)] {
                group.addTask {
                    try await RunningHost(
                        database: endpoints.database,
                        redisURL: endpoints.redisURL,
                        settings: lead > 0 ? ShiftedClock.settings(ahead: lead) : [:],
                        hosting: ["--group", name]
                    )
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        var leads: [Double] = []
        for host in others { leads.append(try await lead(of: host)) }
        let acme = try await Organisation.signUp(endpoints.api)
        let channel = try await acme.channel()
        let database = endpoints.database

        // A message in each second, and an answer to each.
        var sent = 0
        do {
            let end = ContinuousClock.now + .seconds(Self.seconds)
            while ContinuousClock.now < end {
                sent += 1
                _ = try await endpoints.api.persistentWebhook(
                    channel,
                    from: "+1555\(1_000_000 + sent)",
                    "Hello",
                    id: "m\(sent)"
                )
                let ticket = try await eventually(within: Self.patience) {
                    try await acme.tickets().first { $0["status"] as? String == "open" }?["id"] as? String
                }
                _ = try await acme.api.post("/orgs/\(acme.id)/tickets/\(ticket)/messages", ["text": "Hi"])
                _ = try await acme.api.post("/orgs/\(acme.id)/tickets/\(ticket)/close", [:])
                try await Task.sleep(for: .seconds(1))
            }
            _ = try await eventually(within: Self.patience) {
                let count = try await database.integer(
                    "SELECT count(*) AS value FROM messages WHERE direction = 'outbound' AND status = 'delivered'"
                )
                return count == sent ? true : nil
            }
        } catch {
            throw Stuck(
                cause: error,
                state: await whatStands(database, sent: sent, redisURL: endpoints.redisURL, hosts: [endpoints] + others)
            )
        }
        for host in others { host.stop() }
        let jobs = try await finishedFires(endpoints.redisURL)
        // One that found the one before running was left out, and counted apart.
        let fires = try await database.texts(
            "SELECT name || ' ' || (fires + skipped) AS value FROM schedules ORDER BY name"
        )
        let missed = try await database.integer(
            "SELECT missed::int8 AS value FROM schedules WHERE name = 'start-campaigns'"
        )
        let received = try await database.integer("SELECT count(*) AS value FROM messages WHERE direction = 'inbound'")
        let attempts = try await database.integer(
            "SELECT sum(attempts)::int8 AS value FROM messages WHERE direction = 'outbound'"
        )
        endpoints.stop()

        // Told in whole seconds, and some time passes between the two looks: nearer to none or to the lead.
        #expect(leads.count { $0 < Double(Self.lead) / 2 } == 2, "\(leads)")
        let counted = Dictionary(grouping: jobs, by: \.name).mapValues(\.count)
        #expect(fires == counted.map { "\($0.key) \($0.value)" }.sorted())
        let due = jobs.filter { $0.name == "start-campaigns" }.map(\.due).sorted()
        let first = try #require(due.first)
        let last = try #require(due.last)
        #expect(due.allSatisfy { $0.isMultiple(of: 5000) })
        #expect(Set(due).count == due.count)
        #expect(due.count + missed == (last - first) / 5000 + 1)
        #expect(due.count + missed >= Self.seconds / 5)
        #expect(received == sent)
        #expect(attempts == sent)
    }

    private struct Stuck: Error, CustomStringConvertible {
        let cause: any Error
        let state: String
        var description: String { "\(cause)\n\(state)" }
    }

    /// For somebody who reads of a failure: what was sent and received, what stands in the queues, what the processes wrote.
    private func whatStands(
        _ database: TestDatabase,
        sent: Int,
        redisURL: String,
        hosts: [RunningHost]
    ) async -> String {
        let messages = try? await database.texts(
            "SELECT direction || ' ' || status || ' ' || count(*) AS value FROM messages GROUP BY direction, status"
        )
        let queues = try? await Command.shell(
            "REDIS_URL='\(redisURL)' '\(Checkout.executable)' queues list -f '\(Checkout.root)/functions.yaml'"
        )
        return """
            sent \(sent), messages \(messages ?? [])
            \(queues?.output ?? "")
            \(hosts.map { String($0.log.suffix(4000)) }.joined(separator: "\n---\n"))
            """
    }

    /// By how many seconds its clock is ahead of this process's.
    private func lead(of host: RunningHost) async throws -> Double {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
        let answer = try await host.api.get("/health")
        let told = try #require(format.date(from: answer.headers["date"] ?? ""))
        // The middle of the second that it names.
        return told.timeIntervalSinceNow + 0.5
    }

    private struct Fire {
        let name: String
        /// In milliseconds since 1970.
        let due: Int
    }

    /// The fires that have ended, by the jobs that are kept of them: a job's id is its schedule and its time.
    private func finishedFires(_ redisURL: String) async throws -> [Fire] {
        var fires: [Fire] = []
        while true {
            let peek = try await Command.shell(
                """
                REDIS_URL='\(redisURL)' '\(Checkout.executable)' queues peek schedules --state completed --limit 1000 \
                --offset \(fires.count) --json -f '\(Checkout.root)/functions.yaml'
                """
            )
            let jobs = try JSONSerialization.jsonObject(with: Data(peek.output.utf8)) as? [[String: Any]] ?? []
            for job in jobs {
                let parts = try #require(job["id"] as? String).split(separator: ":")
                try #require(parts.count == 3 && parts[0] == "repeat", "\(parts)")
                fires.append(Fire(name: String(parts[1]), due: try #require(Int(parts[2]))))
            }
            if jobs.count < 1000 { return fires }
        }
    }
}
