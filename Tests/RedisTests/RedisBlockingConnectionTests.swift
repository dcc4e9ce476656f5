import Foundation
import Redis
import Testing

@Suite(.timeLimit(.minutes(4))) struct RedisBlockingConnectionTests {
    @Test func waitsInRedisWithoutHoldingUpTheSharedConnection() async throws {
        let key = World.key()
        try await World.withRedis { redis in
            let blocking = redis.blocking(name: "worker \(key)")
            async let popped = blocking.command(["BLPOP", "\(key)", 0], deadline: .now + .seconds(20))
            #expect(try await World.eventually { try await isBlocked(blockingName(key), redis) })

            _ = try await redis.command(["RPUSH", "\(key)", "1"])

            #expect(try await popped == .array([.string(key), .string("1")]))
        }
    }

    @Test func answersNullWhenRedisTimesOutFirst() async throws {
        try await World.withRedis { redis in
            let blocking = redis.blocking(name: "worker")

            let popped = try await blocking.command(["BLPOP", "\(World.key())", "0.05"], deadline: .now + .seconds(20))

            #expect(popped == .null)
        }
    }

    @Test func endsAtItsDeadlineAndConnectsAgain() async throws {
        let key = World.key()
        try await World.withRedis { redis in
            let blocking = redis.blocking(name: "worker \(key)")
            _ = try await blocking.command(["PING"], deadline: .now + .seconds(20))
            let start = ContinuousClock.now

            let error = try await redisError {
                _ = try await blocking.command(["BLPOP", "\(key)", 0], deadline: .now + .milliseconds(200))
            }

            #expect(error?.kind == .timeout)
            #expect(ContinuousClock.now - start >= .milliseconds(190))
            #expect(try await World.eventually { try await !isBlocked(blockingName(key), redis) })
            #expect(try await blocking.command(["ECHO", "again"], deadline: .now + .seconds(20)) == .string("again"))
        }
    }

    @Test func endsAtItsDeadlineEvenWithoutAConnection() async throws {
        let server = try await Server()
        server.signal(SIGSTOP)
        try await World.withRedis(server.url) { redis in
            let error = try await redisError {
                _ = try await redis.blocking(name: "worker").command(["PING"], deadline: .now + .milliseconds(200))
            }

            #expect(error == RedisError(kind: .timeout, message: "no connection: still connecting"))
        }
    }

    @Test func refusesADeadlineThatHasPassed() async throws {
        try await World.withRedis { redis in
            let error = try await redisError {
                _ = try await redis.blocking(name: "worker").command(["PING"], deadline: .now - .seconds(1))
            }

            #expect(error?.kind == .timeout)
        }
    }

    @Test func endsTheWaitInRedisWhenTheTaskIsCancelled() async throws {
        let key = World.key()
        try await World.withRedis { redis async throws in
            let blocking = redis.blocking(name: "worker \(key)")
            let task = Task {
                try await redisError {
                    _ = try await blocking.command(["BLPOP", "\(key)", 0], deadline: .now + .seconds(60))
                }
            }
            #expect(try await World.eventually { try await isBlocked(blockingName(key), redis) })

            task.cancel()

            #expect(try await task.value?.kind == .cancelled)
            #expect(try await World.eventually { try await !isBlocked(blockingName(key), redis) })
            #expect(try await blocking.command(["ECHO", "again"], deadline: .now + .seconds(20)) == .string("again"))
        }
    }

    @Test func outlivesItsServer() async throws {
        let server = try await Server()
        try await World.withRedis(server.url) { redis in
            let blocking = redis.blocking(name: "worker")
            async let error = redisError {
                _ = try await blocking.command(["BLPOP", "k", 0], deadline: .now + .seconds(60))
            }
            #expect(try await World.eventually { try await isBlocked("delightchat:worker", redis) })

            try await server.kill()
            #expect(try await error?.kind == .connection)
            async let early = blocking.command(["ECHO", "early"], deadline: .now + .seconds(20))
            try await server.start()

            #expect(try await early == .string("early"))
        }
    }

    @Test func noticesAServerThatStopsAnsweringByItsDeadline() async throws {
        let server = try await Server()
        try await World.withRedis(server.url) { redis in
            let blocking = redis.blocking(name: "worker")
            _ = try await blocking.command(["PING"], deadline: .now + .seconds(20))
            server.signal(SIGSTOP)

            let error = try await redisError {
                _ = try await blocking.command(["BLPOP", "k", "0.05"], deadline: .now + .milliseconds(300))
            }
            server.signal(SIGCONT)

            #expect(error?.kind == .timeout)
            #expect(try await blocking.command(["PING"], deadline: .now + .seconds(20)) == .string("PONG"))
        }
    }

    @Test func closesItsConnectionWhenItIsLetGo() async throws {
        let key = World.key()
        try await World.withRedis { redis in
            do {
                let blocking = redis.blocking(name: "worker \(key)")
                _ = try await blocking.command(["PING"], deadline: .now + .seconds(20))
            }

            #expect(
                try await World.eventually { try await !clients(redis).contains { $0.contains(blockingName(key)) } }
            )
        }
    }

    private func blockingName(_ key: String) -> String { "delightchat:worker-\(key)" }

    private func clients(_ redis: Redis) async throws -> [Substring] {
        try await redis.command(["CLIENT", "LIST"]).string?.split(separator: "\n") ?? []
    }

    private func isBlocked(_ name: String, _ redis: Redis) async throws -> Bool {
        try await clients(redis).contains { $0.contains(" name=\(name) ") && $0.contains(" cmd=blpop ") }
    }
}
