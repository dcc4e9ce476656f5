import Redis
import Testing

@Suite(.timeLimit(.minutes(4))) struct RedisScriptTests {
    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
        (String(repeating: "a", count: 1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
    ])
    func digestsLikeTheStandard(_ source: String, _ sha1: String) {
        #expect(RedisScript(name: "s", source: source).sha1 == sha1)
    }

    @Test func digestsLikeRedis() async throws {
        try await World.withRedis { redis in
            for length in 40..<140 {
                let script = RedisScript(name: "s", source: "return 1 --" + String(repeating: "é", count: length))

                let digest = try await redis.command(["SCRIPT", "LOAD", .string(script.source)])

                #expect(digest == .string(script.sha1))
            }
        }
    }

    @Test func runsAgainAfterRedisForgotIt() async throws {
        let script = RedisScript(name: "echo", source: "return {KEYS[1], ARGV[1], \(Int.random(in: 0...1_000_000))}")

        try await World.withRedis { redis in
            let first = try await redis.evaluate(script, keys: ["k"], arguments: [5])
            _ = try await redis.command(["SCRIPT", "FLUSH"])
            let again = try await withThrowingTaskGroup(of: RESPValue.self) { group in
                for _ in 0..<100 { group.addTask { try await redis.evaluate(script, keys: ["k"], arguments: [5]) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }

            #expect(first.array?.prefix(2) == [.string("k"), .string("5")])
            #expect(again == Array(repeating: first, count: 100))
        }
    }

    @Test func tellsAScriptsErrorFromOneThatIsMissing() async throws {
        let script = RedisScript(name: "fails", source: "return redis.error_reply('QUEUE is closed')")

        try await World.withRedis { redis in
            let error = try await redisError { _ = try await redis.evaluate(script, keys: [], arguments: []) }

            #expect(error == RedisError(kind: .server, message: "QUEUE is closed"))
            #expect(error?.code == "QUEUE")
        }
    }
}
