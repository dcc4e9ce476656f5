import Foundation
import Postgres
import TestSupport
import Testing

/// Hosts that share a PgBouncer in transaction mode: each transaction may get another of few connections.
@Suite struct PgBouncerTests {
    @Test func theMainJobOfSeveralHostsGoesThroughFewConnections() async throws {
        let database = try await TestDatabase.make()
        let pooler = try await RunningPgBouncer(before: TestServers.postgres, user: "delightchat_test")
        let settings = [
            "DATABASE_URL": try pooler.url(of: database.applicationURL), "DATABASE_PREPARE": "off",
        ]
        let first = try await RunningHost(database: database, settings: settings, hosting: ["--group", "api"])
        let second = try await RunningHost(
            database: database,
            redisURL: first.redisURL,
            settings: settings,
            hosting: ["--group", "api"]
        )
        let workers = try await RunningHost(
            database: database,
            redisURL: first.redisURL,
            settings: settings,
            hosting: ["--group", "workers", "--group", "scheduler"]
        )
        let acme = try await Organisation.signUp(first.api)
        let umbrella = try await Organisation.signUp(second.api)
        let channel = try await acme.channel()
        let other = APIClient(base: second.api.base, token: acme.api.token)

        // Contacts enough that all connections are in use by both organisations in turn.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let phone = "+155500\(10 + number)"
                    _ = try await first.api.persistentWebhook(channel, from: phone, "Hello \(number)", id: "m\(number)")
                    let theirs = try await umbrella.tickets()
                    #expect(theirs.isEmpty)
                }
            }
            try await group.waitForAll()
        }
        let tickets = try await eventually(within: .seconds(60), otherwise: { workers.log + pooler.log }) {
            let tickets = try await acme.tickets()
            return tickets.count == 20 ? tickets.compactMap { $0["id"] as? String } : nil
        }
        for ticket in tickets.prefix(5) {
            let posted = try await other.post("/orgs/\(acme.id)/tickets/\(ticket)/messages", ["text": "Hi"])
            #expect(posted.status == 201)
        }
        for ticket in tickets.prefix(5) {
            _ = try await eventually(within: .seconds(60), otherwise: { workers.log + pooler.log }) {
                try await acme.messages(of: ticket).last?["status"] as? String == "delivered" ? true : nil
            }
        }
        let connections = try await database.integer(
            """
            SELECT count(*) AS value FROM pg_stat_activity
             WHERE datname = current_database() AND usename = 'delightchat_test'
            """
        )

        #expect((1...RunningPgBouncer.poolSize).contains(connections))
        for host in [first, second, workers] { #expect(!host.log.contains(#""level":"error""#), "\(host.log)") }
    }
}
