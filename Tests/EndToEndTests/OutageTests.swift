import Foundation
import Postgres
import TestSupport
import Testing

/// PostgreSQL goes away for a while and comes back.
@Suite struct OutageTests {
    /// What one caller was told.
    private struct Told: Sendable {
        let label: String
        let answer: APIClient.Answer
    }

    @Test func tenSecondsWithoutPostgreSQLAre503AndNothingThatWasAcceptedIsMissingAfterwards() async throws {
        let postgres = try await RunningPostgres()
        let database = try await TestDatabase.make(on: postgres.url)
        let host = try await RunningHost(database: database)
        let acme = try await Organisation.signUp(host.api)
        let channel = try await acme.channel()
        _ = try await host.api.webhook(channel, from: "+12345678901", "Hello", id: "m1")
        let ticket = try #require(try await eventually { try await acme.tickets().first }["id"] as? String)
        let path = "/orgs/\(acme.id)/tickets/\(ticket)/messages"

        let end = Tally()
        let told = try await withThrowingTaskGroup(of: [Told].self) { group in
            for caller in 0..<6 {
                group.addTask {
                    var told: [Told] = []
                    while end.value == 0 {
                        let label = "\(caller)-\(told.count)"
                        let answer =
                            switch caller % 3 {
                            case 0: try await acme.api.post(path, ["text": label])
                            case 1: try await host.api.webhook(channel, from: "+1555100000\(caller)", label, id: label)
                            default: try await acme.api.get("/orgs/\(acme.id)/tickets")
                            }
                        told.append(Told(label: label, answer: answer))
                        try await Task.sleep(for: .milliseconds(10))
                    }
                    return told
                }
            }
            try await Task.sleep(for: .seconds(1))
            postgres.stop()
            try await Task.sleep(for: .seconds(10))
            try await postgres.start()
            _ = try await eventually { try await acme.api.get("/orgs/\(acme.id)/tickets").status == 200 ? true : nil }
            try await Task.sleep(for: .seconds(1))
            end.raise()
            return try await group.reduce(into: []) { $0 += $1 }
        }
        try await host.becomeIdle()
        let accepted = told.filter { $0.answer.status < 300 }
        let refused = told.filter { $0.answer.status >= 300 }
        let texts = try await database.texts("SELECT text AS value FROM messages")
        let unsent = try await eventually(within: .seconds(90)) {
            let unsent = try await database.integer("SELECT count(*) AS value FROM messages WHERE status = 'queued'")
            return unsent == 0 ? unsent : nil
        }

        #expect(refused.count > 0)
        #expect(refused.filter { $0.answer.status != 503 }.map { "\($0.label): \($0.answer.text)" } == [])
        #expect(refused.allSatisfy { $0.answer.headers["retry-after"] != nil })
        #expect(accepted.count > 20)
        let posted = Set(
            accepted.filter { $0.answer.data.isEmpty && $0.answer.object["nextCursor"] == nil }.map(\.label)
        )
        #expect(posted.subtracting(texts) == [], "\(host.log)")
        #expect(texts.count == Set(texts).count)
        #expect(unsent == 0)
        host.stop()
    }
}
