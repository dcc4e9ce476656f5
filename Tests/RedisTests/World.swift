import Foundation
import Logging
import Redis
import Testing

/// The Redis every suite shares, by `TEST_REDIS_URL`; a missing one fails the test.
enum World {
    static func url() throws -> String {
        try #require(
            ProcessInfo.processInfo.environment["TEST_REDIS_URL"],
            "TEST_REDIS_URL must name a Redis these tests may write to, such as redis://127.0.0.1:6379"
        )
    }

    /// Runs `body` with a client of its own and shuts that down.
    ///
    /// Unless the test says otherwise the client is patient, for the sake of machines that are busy.
    static func withRedis<Result>(
        _ url: String? = nil,
        adjust: (inout RedisConfiguration) -> Void = { _ in },
        _ body: (Redis) async throws -> Result
    ) async throws -> Result {
        var configuration = try RedisConfiguration(url: try url ?? Self.url())
        configuration.connectTimeout = .seconds(20)
        configuration.commandTimeout = .seconds(30)
        adjust(&configuration)
        let redis = Redis(configuration, logger: quiet)
        do {
            let result = try await body(redis)
            await redis.shutdown()
            return result
        } catch {
            await redis.shutdown()
            throw error
        }
    }

    /// A key no other test uses.
    static func key(_ name: String = "key") -> String { "redis-tests:\(name):\(UUID().uuidString)" }

    /// A script without keys that keeps Redis busy for its argument in milliseconds (a script sees time pass up to
    /// Redis 7.0 only, so it also ends by itself).
    static let busyLoop: RedisArgument = """
        local now = redis.call('TIME')
        local last = now[1] * 1000000 + now[2] + ARGV[1] * 1000
        for _ = 1, 2000000 do
            now = redis.call('TIME')
            if now[1] * 1000000 + now[2] >= last then break end
        end
        return 1
        """

    static var quiet: Logger {
        var logger = Logger(label: "redis-tests")
        logger.logLevel = .critical
        return logger
    }

    /// Waits until `condition` holds, at most `limit`; the last word has the condition itself.
    static func eventually(
        within limit: Duration = .seconds(60),
        _ condition: () async throws -> Bool
    ) async throws -> Bool {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return try await condition()
    }
}

/// What `body` throws as a ``RedisError``; anything else is a fault of the test.
func redisError(_ body: () async throws -> Void) async throws -> RedisError? {
    do {
        try await body()
        return nil
    } catch let error as RedisError {
        return error
    }
}
