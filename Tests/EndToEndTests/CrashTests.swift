import Postgres
import TestSupport
import Testing

/// What customers wrote, while the host and Redis are killed.
@Suite struct CrashTests {
    private static let senders = 100
    private static let messages = 100

    @Test func everyAcceptedMessageIsStoredOnceAndInOrderThroughTenCrashesOfTheHostAndOneOfRedis() async throws {
        let redis = try await RunningRedis()
        let host = try await RunningHost(redisURL: redis.url)
        var organisations: [(organisation: Organisation, channel: String)] = []
        for name in ["Red", "Green", "Blue"] {
            let organisation = try await Organisation.signUp(host.api, name: name)
            organisations.append((organisation, try await organisation.channel()))
        }
        let channels = organisations.map(\.channel)

        let accepted = Tally()
        let total = Self.senders * Self.messages
        try await withThrowingTaskGroup(of: Void.self) { group in
            for sender in 0..<Self.senders {
                group.addTask {
                    for number in 0..<Self.messages {
                        _ = try await host.api.persistentWebhook(
                            channels[sender % channels.count],
                            from: Self.phone(of: sender),
                            String(number),
                            id: "\(sender)-\(number)"
                        )
                        accepted.raise()
                    }
                }
            }
            // A child of the group too: a message that is never accepted ends the wait for the next moment.
            group.addTask {
                for band in 0..<11 {
                    // At random moments, spread by how far the others have come.
                    let moment = total * band / 11 + Int.random(in: 0..<total / 11)
                    while accepted.value < moment { try await Task.sleep(for: .milliseconds(5)) }
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0..<20)))
                    if band == 5 {
                        redis.kill()
                        try await Task.sleep(for: .milliseconds(300))
                        try await redis.start()
                    } else {
                        host.kill()
                        try await host.start()
                    }
                }
            }
            // As they end: the first that fails ends the others.
            for try await _ in group {}
        }
        try await host.becomeIdle(within: .seconds(120))

        for (index, (organisation, _)) in organisations.enumerated() {
            let tickets = try await organisation.tickets()
            #expect(tickets.count == (0..<Self.senders).filter { $0 % channels.count == index }.count)
            for ticket in tickets {
                let id = try #require(ticket["id"] as? String)
                let texts = try await organisation.messages(of: id).map { $0["text"] as? String }
                #expect(texts == (0..<Self.messages).map(String.init), "of ticket \(id)")
            }
        }
        #expect(try await host.database.integer("SELECT count(*) AS value FROM messages") == total)
        #expect(try await host.database.integer("SELECT count(*) AS value FROM contacts") == Self.senders)
        #expect(try await host.database.integer("SELECT count(*) AS value FROM unprocessed_events") == 0)
        host.stop()
    }

    private static func phone(of sender: Int) -> String { "+1555" + String(1_000_000 + sender) }
}
