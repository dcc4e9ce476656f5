import Foundation
import Testing

@testable import Postgres

@Suite(.serialized) struct PostgresListenTests {
    private func channel() -> String { "channel \"\(UUID().uuidString.prefix(8))\"" }

    @Test func yieldsWhatIsNotified() async throws {
        try await World.with { postgres in
            let channel = channel()
            var notifications = postgres.listen([channel]).makeAsyncIterator()

            let first = await notifications.next()
            _ = try await postgres.query("SELECT pg_notify(\(channel), \("grüße")), pg_notify('another', 'no')")
            _ = try await postgres.query("SELECT pg_notify(\(channel), '')")
            let second = await notifications.next()
            let third = await notifications.next()

            #expect(first == .reconnected)
            #expect(second == .message(channel: channel, payload: "grüße"))
            #expect(third == .message(channel: channel, payload: ""))
        }
    }

    @Test func servesSeveralSubscribers() async throws {
        try await World.with { postgres in
            let (one, both) = (channel(), channel())
            var first = postgres.listen([one, both]).makeAsyncIterator()
            #expect(await first.next() == .reconnected)
            do {
                var second = postgres.listen([both]).makeAsyncIterator()
                #expect(await second.next() == .reconnected)

                _ = try await postgres.run(["SELECT pg_notify(\(one), '1')", "SELECT pg_notify(\(both), '2')"])

                #expect(await second.next() == .message(channel: both, payload: "2"))
            }
            #expect(await first.next() == .message(channel: one, payload: "1"))
            #expect(await first.next() == .message(channel: both, payload: "2"))
        }
    }

    @Test func listensAgainAfterTheConnectionWasLost() async throws {
        let name = "test \(UUID().uuidString.prefix(8))"
        try await World.with {
            $0.applicationName = name
        } _: { postgres in
            try await World.with { other in
                let channel = channel()
                var notifications = postgres.listen([channel]).makeAsyncIterator()
                #expect(await notifications.next() == .reconnected)

                _ = try await other.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = \(name)"
                )

                #expect(await notifications.next() == .reconnected)
                _ = try await other.query("SELECT pg_notify(\(channel), 'again')")
                #expect(await notifications.next() == .message(channel: channel, payload: "again"))
            }
        }
    }

    @Test func closesItsConnectionWhenNobodyListens() async throws {
        let name = "test \(UUID().uuidString.prefix(8))"
        try await World.with {
            $0.applicationName = name
        } _: { postgres in
            try await World.with { other in
                let connections: SQL = "SELECT 1 FROM pg_stat_activity WHERE application_name = \(name)"
                let task = Task { [postgres] in
                    for await _ in postgres.listen(["c"]) {}
                }
                let opened = try await World.eventually { try await other.query(connections).count == 1 }

                task.cancel()
                let closed = try await World.eventually { try await other.query(connections).isEmpty }

                #expect(opened && closed)
            }
        }
    }

    /// Who is told at the very moment of being cancelled holds the lock that telling them needs.
    @Test func readersThatComeAndGoNeverStopOneAnother() async throws {
        try await World.with { postgres in
            await withTaskGroup { group in
                for number in 0..<8 {
                    group.addTask {
                        for round in 0..<250 {
                            let reader = Task { for await _ in postgres.listen(["c"]) {} }
                            // Cancelled around the moment when LISTEN is answered.
                            try? await Task.sleep(for: .microseconds((round * 7 + number * 13) % 500))
                            reader.cancel()
                            await reader.value
                        }
                    }
                }
            }
            var notifications = postgres.listen(["c"]).makeAsyncIterator()

            #expect(await notifications.next() == .reconnected)
        }
    }

    @Test func endsTheStreamAtShutdown() async throws {
        let postgres = Postgres(try World.configuration(), logger: World.logger)
        var notifications = postgres.listen(["c"]).makeAsyncIterator()
        #expect(await notifications.next() == .reconnected)

        await postgres.shutdown()

        #expect(await notifications.next() == nil)
    }
}
