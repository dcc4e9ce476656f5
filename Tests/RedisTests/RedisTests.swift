import Redis
import Testing

@Suite(.timeLimit(.minutes(4))) struct RedisTests {
    @Test func carriesEveryTypeBothWays() async throws {
        let key = World.key()
        let every = (0...255).map { UInt8($0) }

        try await World.withRedis { redis in
            let outcomes = await redis.pipeline([
                ["SET", "\(key)", "héllo 👩‍👩‍👧 \r\n\0"],
                ["GET", "\(key)"],
                ["SET", "\(key)", .bytes(every)],
                ["GET", "\(key)"],
                ["SET", "\(key)", .integer(.min)],
                ["GET", "\(key)"],
                ["DEL", "\(key)"],
                ["GET", "\(key)"],
                ["INCRBY", "\(key)", 41],
                ["SADD", "\(key):set", ""],
                ["SMEMBERS", "\(key):set"],
                ["GET", "\(key):set"],
                ["EVAL", "return {1, {'a', false}, redis.error_reply('NO way')}", 0],
                ["DEL", "\(key)", "\(key):set"],
            ])

            let wrongType = "WRONGTYPE Operation against a key holding the wrong kind of value"
            #expect(
                outcomes == [
                    .success(.string("OK")), .success(.string("héllo 👩‍👩‍👧 \r\n\0")),
                    .success(.string("OK")), .success(.bytes(every)),
                    .success(.string("OK")), .success(.string("-9223372036854775808")),
                    .success(.integer(1)), .success(.null), .success(.integer(41)),
                    .success(.integer(1)), .success(.array([.string("")])),
                    .failure(RedisError(kind: .server, message: wrongType)),
                    .success(.array([.integer(1), .array([.string("a"), .null]), .error("NO way")])),
                    .success(.integer(2)),
                ]
            )
        }
    }

    @Test func answersEachOfManyConcurrentCallersItsOwn() async throws {
        try await World.withRedis { redis in
            let wrong = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<10_000 {
                    group.addTask { try await redis.command(["ECHO", "\(number)"]) == .string("\(number)") }
                }
                return try await group.reduce(0) { $0 + ($1 ? 0 : 1) }
            }

            #expect(wrong == 0)
            #expect(redis.statistics.commands == 10_000)
            #expect(redis.statistics.connections == 1)
            #expect(redis.statistics.inFlight == 0)
        }
    }

    @Test func keepsTheOrderOfAPipelineAndNobodyElsesBetween() async throws {
        let key = World.key()

        try await World.withRedis { redis in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        let commands = (0..<100).map { _ -> [RedisArgument] in ["INCR", "\(key)"] }
                        let numbers = try await redis.pipeline(commands).map { try $0.get().integer ?? 0 }
                        #expect(numbers == (0..<100).map { numbers[0] + $0 })
                    }
                }
                try await group.waitForAll()
            }

            #expect(try await redis.command(["GETDEL", "\(key)"]) == .string("2000"))
        }
    }

    @Test func carriesTenMegabytes() async throws {
        let key = World.key()
        let text = String(repeating: "0123456789abcdef", count: 655_360)

        try await World.withRedis { redis in
            _ = try await redis.command(["SET", "\(key)", .string(text)])

            #expect(try await redis.command(["GETDEL", "\(key)"]) == .string(text))
        }
    }

    @Test func saysWhatRedisSaid() async throws {
        try await World.withRedis { redis in
            let error = try await redisError { _ = try await redis.command(["INCR"]) }

            #expect(error?.kind == .server)
            #expect(error?.code == "ERR")
            #expect(error?.isUnavailable == false)
            #expect(error?.message == "ERR wrong number of arguments for 'incr' command")
        }
    }

    @Test func refusesACommandWithoutWords() async throws {
        try await World.withRedis { redis in
            let error = try await redisError { _ = try await redis.command([]) }

            #expect(error?.kind == .configuration)
            #expect(await redis.pipeline([]).isEmpty)
            #expect(try await redis.command(["PING"]) == .string("PONG"))
        }
    }

    @Test func refusesMoreCommandsThanItMayQueue() async throws {
        let server = try await Server()
        try await World.withRedis(server.url, adjust: { $0.maximumQueued = 5 }) { redis async throws in
            let outcomes = await withTaskGroup(of: Result<RESPValue, RedisError>.self) { group in
                for _ in 0..<50 { group.addTask { await redis.pipeline([["EVAL", World.busyLoop, 0, 300]])[0] } }
                return await group.reduce(into: []) { $0.append($1) }
            }

            let refused = outcomes.compactMap { if case .failure(let error) = $0 { error } else { nil } }
            #expect(!refused.isEmpty)
            #expect(refused.allSatisfy { $0.kind == .connection && $0.isUnavailable })
            #expect(try await redis.command(["PING"]) == .string("PONG"))
        }
    }

    @Test func refusesMoreBytesThanItMayKeep() async throws {
        let text = String(repeating: "x", count: 1 << 20)
        let adjust = { (configuration: inout RedisConfiguration) in
            configuration.maximumPendingBytes = (4 << 20) + 1024
            configuration.connectTimeout = .seconds(1)
        }

        try await World.withRedis("redis://127.0.0.1:1", adjust: adjust) { redis in
            let outcomes = await withTaskGroup(of: RedisError?.self) { group in
                for _ in 0..<20 {
                    group.addTask { try? await redisError { _ = try await redis.command(["ECHO", .string(text)]) } }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }

            let refused = outcomes.compactMap(\.self).filter { $0.message.contains("bytes of commands") }
            #expect(refused.count == 16)
        }
    }

    @Test func givesACallerUpAtItsOwnDeadlineAndKeepsTheConnection() async throws {
        let server = try await Server()
        try await World.withRedis(server.url) { redis in
            _ = try await redis.command(["PING"])
            async let slow = redisError {
                _ = try await redis.command(["EVAL", World.busyLoop, 0, 2000], timeout: .milliseconds(20))
            }
            async let patient = redis.command(["ECHO", "patient"])

            #expect(try await slow == RedisError(kind: .timeout, message: "no answer before the deadline"))
            #expect(try await patient == .string("patient"))
            #expect(redis.statistics.connections == 1)
            #expect(redis.statistics.timeouts == 1)
        }
    }

    @Test func returnsAtOnceWhenTheTaskIsCancelledAndLosesNobodyElsesAnswer() async throws {
        let server = try await Server()
        try await World.withRedis(server.url) { redis in
            _ = try await redis.command(["PING"])
            let task = Task { try await redisError { _ = try await redis.command(["EVAL", World.busyLoop, 0, 2000]) } }
            #expect(try await World.eventually { redis.statistics.inFlight == 1 })

            task.cancel()

            #expect(try await task.value?.kind == .cancelled)
            #expect(redis.statistics.inFlight == 1)
            #expect(try await redis.command(["ECHO", "next"]) == .string("next"))
            #expect(redis.statistics.connections == 1)
        }
    }

    @Test func sendsNothingForATaskAlreadyCancelled() async throws {
        let key = World.key()

        try await World.withRedis { redis in
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                let error = try await redisError { _ = try await redis.command(["SET", "\(key)", "1"]) }
                return (error, await redis.pipeline([["SET", "\(key)", "1"]]))
            }
            let (error, outcomes) = try await task.value

            #expect(error?.kind == .cancelled)
            #expect(outcomes == [.failure(error ?? RedisError(kind: .server, message: ""))])
            #expect(try await redis.command(["EXISTS", "\(key)"]) == .integer(0))
        }
    }

    @Test func refusesCallsAfterShutdown() async throws {
        try await World.withRedis { redis in
            let blocking = redis.blocking(name: "early")
            let messages = redis.subscribe(["c"])
            _ = try await redis.command(["PING"])

            await redis.shutdown()

            let shut = RedisError(kind: .connection, message: "the client is shut down")
            let deadline = ContinuousClock.now + .seconds(1)
            #expect(try await redisError { _ = try await redis.command(["PING"]) } == shut)
            #expect(try await redisError { _ = try await blocking.command(["PING"], deadline: deadline) } == shut)
            let late = redis.blocking(name: "late")
            #expect(try await redisError { _ = try await late.command(["PING"], deadline: deadline) } == shut)
            for await message in messages { #expect(message == .subscribed) }
            for await _ in redis.subscribe(["c"]) { Issue.record("a subscription after shutdown") }
        }
    }
}
