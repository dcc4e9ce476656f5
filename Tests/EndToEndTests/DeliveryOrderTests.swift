import Postgres
import TestSupport
import Testing

/// The answers of one ticket, on a channel that keeps asking to try again.
@Suite struct DeliveryOrderTests {
    @Test func fiftyAnswersArriveInTheirOrderAndOnceWhileTheProviderAsksForRetries() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let channel = try await acme.channel(settings: ["outcome": ["retry": 1]])
        _ = try await host.api.webhook(channel, from: "+12345678901", "Hello", id: "m1")
        let ticket = try #require(try await eventually { try await acme.tickets().first }["id"] as? String)

        for number in 0..<50 {
            let answer = try await acme.api.post(
                "/orgs/\(acme.id)/tickets/\(ticket)/messages",
                ["text": "answer \(number)"]
            )
            #expect(answer.status == 201)
        }
        let messages = try await eventually(within: .seconds(150)) { () -> [[String: Any]]? in
            let sent = try await acme.messages(of: ticket).dropFirst()
            return sent.allSatisfy { $0["status"] as? String == "delivered" } ? Array(sent) : nil
        }
        let inOrderOfSending = try await host.database.texts(
            "SELECT text AS value FROM messages WHERE direction = 'outbound' ORDER BY sent_at"
        )
        let attempts = try await host.database.texts(
            "SELECT DISTINCT attempts::text AS value FROM messages WHERE direction = 'outbound'"
        )

        #expect(messages.map { $0["text"] as? String } == (0..<50).map { "answer \($0)" })
        #expect(Set(messages.compactMap { $0["externalId"] as? String }).count == 50)
        #expect(inOrderOfSending == (0..<50).map { "answer \($0)" })
        // Asked once to try again, then taken: an attempt more would have been sent twice.
        #expect(attempts == ["2"])
        host.stop()
    }
}
