import Foundation
import Redis
import Testing

@Suite(.timeLimit(.minutes(4))) struct SubscriptionTests {
    @Test func yieldsWhatIsPublishedInOrder() async throws {
        let (one, other) = (World.key(), World.key())
        try await World.withRedis { redis in
            var messages = redis.subscribe([one, other]).makeAsyncIterator()
            #expect(await messages.next() == .subscribed)

            for number in 0..<100 {
                _ = try await redis.command(["PUBLISH", "\(number % 2 == 0 ? one : other)", "né \(number)"])
            }

            for number in 0..<100 {
                let channel = number % 2 == 0 ? one : other
                #expect(await messages.next() == .message(channel: channel, payload: "né \(number)"))
            }
        }
    }

    @Test func subscribesAgainAfterRedisWasAwayAndTellsOfTheGap() async throws {
        let server = try await Server()
        try await World.withRedis(server.url) { redis in
            var messages = redis.subscribe(["c"]).makeAsyncIterator()
            #expect(await messages.next() == .subscribed)

            try await server.kill()
            try await server.start()

            #expect(await messages.next() == .reconnected)
            _ = try await redis.command(["PUBLISH", "c", "after"])
            #expect(await messages.next() == .message(channel: "c", payload: "after"))
        }
    }

    @Test func noticesAServerThatStopsAnswering() async throws {
        let server = try await Server()
        try await World.withRedis(server.url, adjust: { $0.commandTimeout = .milliseconds(200) }) { redis in
            var messages = redis.subscribe(["c"]).makeAsyncIterator()
            #expect(await messages.next() == .subscribed)

            server.signal(SIGSTOP)
            try await Task.sleep(for: .seconds(4))
            server.signal(SIGCONT)

            #expect(await messages.next() == .reconnected)
        }
    }

    @Test func staysSubscribedWhileNothingIsPublished() async throws {
        let key = World.key()
        try await World.withRedis(adjust: { $0.commandTimeout = .seconds(1) }) { redis in
            var messages = redis.subscribe([key]).makeAsyncIterator()
            #expect(await messages.next() == .subscribed)

            try await Task.sleep(for: .seconds(3))
            _ = try await redis.command(["PUBLISH", "\(key)", "late"], timeout: .seconds(20))

            #expect(await messages.next() == .message(channel: key, payload: "late"))
        }
    }

    @Test func tellsASlowReaderThatItMissedMessages() async throws {
        let key = World.key()
        try await World.withRedis(adjust: { $0.commandTimeout = .seconds(2) }) { redis in
            var messages = redis.subscribe([key]).makeAsyncIterator()
            #expect(await messages.next() == .subscribed)
            let commands = (0..<5000).map { number -> [RedisArgument] in ["PUBLISH", "\(key)", "\(number)"] }
            _ = await redis.pipeline(commands, timeout: .seconds(20))
            try await Task.sleep(for: .seconds(1))

            for number in 0..<4096 { #expect(await messages.next() == .message(channel: key, payload: "\(number)")) }
            #expect(await messages.next() == .reconnected)
        }
    }

    @Test func endsItsConnectionWhenNobodyReads() async throws {
        let key = World.key()
        try await World.withRedis { redis async throws in
            do {
                var messages = redis.subscribe([key]).makeAsyncIterator()
                #expect(await messages.next() == .subscribed)
                #expect(try await redis.command(["PUBLISH", "\(key)", "1"]) == .integer(1))
            }

            #expect(try await World.eventually { try await redis.command(["PUBLISH", "\(key)", "1"]) == .integer(0) })
        }
    }
}
