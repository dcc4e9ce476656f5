import Foundation
import TestSupport
import Testing

/// The verbs on queues and schedules, through the real executable beside a running host.
@Suite struct QueueCommandTests {
    private func runner(_ host: RunningHost, _ words: String) async throws -> Command {
        try await Command.shell(
            "REDIS_URL='\(host.redisURL)' DATABASE_URL='\(host.database.applicationURL)' "
                + "\(Checkout.executable) \(words) -f \(Checkout.root)/functions.yaml </dev/null"
        )
    }

    private func json(_ host: RunningHost, _ words: String) async throws -> Any {
        let command = try await runner(host, words + " --json")
        return try JSONSerialization.jsonObject(with: Data(command.output.utf8))
    }

    @Test func aJobOfAnUnknownShapeEndsInFailedAndIsDiscarded() async throws {
        let host = try await RunningHost()

        let added = try await runner(host, #"queues add outbound --name deliver-message --data '{"ticketId":1}'"#)
        let job = try await eventually { () -> [String: Any]? in
            let jobs = try await json(host, "queues peek outbound --state failed") as? [[String: Any]]
            return jobs?.first
        }
        #expect(added.status == 0)
        let reason = try #require(job["failedReason"] as? String)
        #expect(reason.contains("data/ticketId"))
        #expect(reason.contains("data/orgId"))

        let refused = try await runner(host, "queues discard outbound --all")
        #expect(refused.status != 0)
        #expect(refused.errors.contains("Discard 1 jobs of outbound: repeat it with --yes."))
        let done = try await runner(host, "queues discard outbound --all --yes")
        #expect(done.output == "discarded 1 jobs\n")
        let left = try await json(host, "queues show outbound") as? [String: Any]
        #expect(left?["failed"] as? Int == 0)
        host.stop()
    }

    @Test func aPausedQueueHoldsItsJobsUntilItIsResumed() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let channel = try await acme.channel()
        // A queue is one once somebody has used it.
        _ = try await eventually { () -> Bool? in
            let queues = try await json(host, "queues list") as? [[String: Any]]
            return queues?.contains { $0["queue"] as? String == "inbound" } == true ? true : nil
        }

        #expect(try await runner(host, "queues pause inbound").output == "inbound is paused\n")
        _ = try await host.api.post(
            "/webhook/\(channel)",
            ["senderPhone": "+1 234 567 890", "senderName": "John", "message": "Hello", "messageId": "m1"]
        )
        let shown = try await json(host, "queues show inbound") as? [String: Any]
        #expect(shown?["waiting"] as? Int == 1)
        #expect(shown?["paused"] as? Bool == true)
        let waiting = try await json(host, "queues peek inbound") as? [[String: Any]]
        #expect(waiting?.first?["organisation"] as? String == acme.id)
        #expect((waiting?.first?["trace"] as? String)?.isEmpty == false)

        #expect(try await runner(host, "queues resume inbound").output == "inbound goes on\n")
        _ = try await eventually { try await acme.tickets().first }
        host.stop()
    }

    @Test func installationsOnOneRedisKeepTheirQueuesApartByTheirPrefixes() async throws {
        let one = try await RunningHost(settings: ["QUEUE_PREFIX": "one"])
        let other = try await RunningHost(redisURL: one.redisURL, settings: ["QUEUE_PREFIX": "{other}"])
        func runner(_ prefix: String, _ words: String) async throws -> Command {
            try await Command.shell(
                "QUEUE_PREFIX='\(prefix)' REDIS_URL='\(one.redisURL)' \(Checkout.executable) \(words) "
                    + "-f \(Checkout.root)/functions.yaml </dev/null"
            )
        }
        _ = try await eventually { try await runner("one", "queues pause mail").status == 0 ? true : nil }
        _ = try await eventually { try await runner("{other}", "queues show mail").status == 0 ? true : nil }

        let job = "queues add mail --name deliver-mail --data '{\"orgId\":1}'"
        #expect(try await runner("one", job).status == 0)
        #expect(try await runner("{other}", job).status == 0)

        _ = try await eventually {
            try await runner("{other}", "queues peek mail --state failed").output.contains("deliver-mail") ? true : nil
        }
        #expect(try await runner("one", "queues peek mail").output.contains("deliver-mail"))
        #expect(try await runner("one", "queues peek mail --state failed").output.contains("deliver-mail") == false)
        #expect(try await runner("bull", "queues list --json").output.trimmingCharacters(in: .newlines) == "[]")
        one.stop()
        other.stop()
    }

    @Test func schedulesAreJobSchedulersWhoseFiresAreRemembered() async throws {
        let host = try await RunningHost()

        let schedules = try await eventually { () -> [[String: Any]]? in
            let all = try await json(host, "cron list") as? [[String: Any]]
            return all?.allSatisfy { $0["nextAt"] is String } == true ? all : nil
        }
        #expect(
            Set(schedules.compactMap { $0["function"] as? String }).isSuperset(of: ["sweep-work", "purge-expired"])
        )

        let run = try await runner(host, "cron run purge-expired")
        #expect(run.status == 0)
        let fired = try await eventually { () -> [String: Any]? in
            let all = try await json(host, "cron list") as? [[String: Any]]
            return all?.first { $0["function"] as? String == "purge-expired" && $0["went"] as? String == "well" }
        }
        #expect(fired["missed"] as? Int == 0)
        #expect(fired["fires"] as? Int == 1)
        let unknown = try await runner(host, "cron run purge-nothing")
        #expect(unknown.status != 0)
        host.stop()
    }

    @Test func aFireThatWasMissedRunsOnceWhenRedisHasForgottenIt() async throws {
        let database = try await TestDatabase.make()
        let host = try await RunningHost(database: database)
        host.stop()
        try await database.script(
            """
            INSERT INTO schedules (name, due_at, began_at, ended_at)
            VALUES ('purge-expired', date_trunc('hour', now()) - interval '3 hours', now(), now())
            """
        )
        let again = try await RunningHost(database: database)

        let fired = try await eventually { () -> [String: Any]? in
            let all = try await json(again, "cron list") as? [[String: Any]]
            return all?.first { $0["function"] as? String == "purge-expired" && $0["fires"] as? Int == 2 }
        }
        #expect(fired["went"] as? String == "well" || fired["went"] as? String == "runs")
        again.stop()
    }
}
