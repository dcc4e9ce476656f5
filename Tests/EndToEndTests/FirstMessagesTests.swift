import Postgres
import TestSupport
import Testing

/// One sender's first messages, which find neither a contact nor a ticket.
@Suite struct FirstMessagesTests {
    @Test func thirtyAtTheSameInstantMakeOneContactAndOneTicketEvenIfEachIsSentTwice() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let channel = try await acme.channel()
        // What the channel is to the host must not decide which of the thirty comes first.
        _ = try await host.api.get("/webhook/\(channel)")

        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<60 {
                group.addTask {
                    try await host.api.webhook(
                        channel,
                        from: "+12345678901",
                        "text \(number % 30)",
                        id: "m\(number % 30)"
                    ).status
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        try await host.becomeIdle()
        let tickets = try await acme.tickets()
        let id = try #require(tickets.first?["id"] as? String)
        let messages = try await acme.messages(of: id)

        #expect(statuses == Array(repeating: 200, count: 60))
        #expect(tickets.count == 1)
        #expect(tickets.first?["unreadCount"] as? Int == 30)
        #expect(messages.count == 30)
        #expect(Set(messages.compactMap { $0["externalId"] as? String }) == Set((0..<30).map { "m\($0)" }))
        #expect(try await host.database.integer("SELECT count(*) AS value FROM contacts") == 1)
        #expect(try await host.database.integer("SELECT count(*) AS value FROM messages") == 30)
        host.stop()
    }
}
