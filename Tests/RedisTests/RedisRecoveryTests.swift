import Foundation
import Redis
import Testing

@Suite(.timeLimit(.minutes(4))) struct RedisRecoveryTests {
    @Test func failsWhatWasUnderWayWhenRedisIsKilledAndServesLaterCallsOnceItIsBack() async throws {
        let server = try await Server()
        try await World.withRedis(server.url) { redis in
            _ = try await redis.command(["PING"])
            server.signal(SIGSTOP)
            async let underWay = withTaskGroup(of: RedisError?.self) { group in
                for _ in 0..<50 { group.addTask { try? await redisError { _ = try await redis.command(["PING"]) } } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(try await World.eventually { redis.statistics.inFlight == 50 })

            try await server.kill()
            let errors = await underWay
            async let early = redis.command(["ECHO", "early"])
            try await server.start()

            #expect(errors.allSatisfy { $0?.kind == .connection && $0?.isUnavailable == true })
            #expect(try await early == .string("early"))
            #expect(try await redis.command(["ECHO", "late"]) == .string("late"))
            #expect(redis.statistics.connections == 2)
        }
    }

    @Test func noticesAServerThatStopsAnswering() async throws {
        let server = try await Server()
        try await World.withRedis(server.url, adjust: { $0.commandTimeout = .seconds(2) }) { redis in
            _ = try await redis.command(["PING"])
            server.signal(SIGSTOP)
            let start = ContinuousClock.now

            let error = try await redisError { _ = try await redis.command(["PING"]) }
            let waited = ContinuousClock.now - start
            server.signal(SIGCONT)

            #expect(error == RedisError(kind: .connection, message: "no answer within 2.0 seconds"))
            #expect((.milliseconds(1900)...(.seconds(10))).contains(waited))
            #expect(try await redis.command(["PING"]) == .string("PONG"))
            #expect(redis.statistics.connections == 2)
        }
    }

    @Test func keepsAConnectionWhoseOldestCommandMayTakeLonger() async throws {
        let server = try await Server()
        try await World.withRedis(server.url, adjust: { $0.commandTimeout = .seconds(1) }) { redis async throws in
            async let slow = redis.command(["EVAL", World.busyLoop, 0, 3000], timeout: .seconds(40))
            #expect(try await World.eventually { redis.statistics.inFlight == 1 })

            let error = try await redisError { _ = try await redis.command(["PING"]) }

            #expect(error == RedisError(kind: .timeout, message: "no answer before the deadline"))
            #expect(try await slow == .integer(1))
            #expect(try await redis.command(["PING"], timeout: .seconds(20)) == .string("PONG"))
            #expect(redis.statistics.connections == 1)
        }
    }

    @Test func waitsForAnAbsentServerNoLongerThanTheConnectTimeoutAndSendsNothingLater() async throws {
        let server = try await Server()
        try await server.kill()
        try await World.withRedis(server.url, adjust: { $0.connectTimeout = .seconds(2) }) { redis in
            let start = ContinuousClock.now

            let error = try await redisError { _ = try await redis.command(["SET", "k", "late"]) }
            let waited = ContinuousClock.now - start
            try await server.start()

            #expect(error?.kind == .connection)
            #expect(error?.isUnavailable == true)
            #expect(error?.message.hasPrefix("no connection: cannot connect to unix://") == true)
            #expect((.milliseconds(1900)...(.seconds(10))).contains(waited))
            #expect(try await World.eventually { redis.statistics.isConnected })
            #expect(try await redis.command(["GET", "k"]) == .null)
        }
    }

    @Test func givesUpAServerThatAcceptsButDoesNotGreet() async throws {
        let server = try await Server()
        server.signal(SIGSTOP)
        try await World.withRedis(server.url, adjust: { $0.connectTimeout = .seconds(2) }) { redis in
            let error = try await redisError { _ = try await redis.command(["PING"]) }
            server.signal(SIGCONT)

            #expect(error?.kind == .connection)
            #expect(try await World.eventually { redis.statistics.isConnected })
        }
    }

    @Test func countsLoadingAsUnavailable() async throws {
        let server = try await Server(["--rdbcompression", "no"])
        try await World.withRedis(server.url) { redis in
            let text = String(repeating: "x", count: 2000)
            for number in 0..<50 { _ = try await redis.command(["SET", "k\(number)", .string(text)]) }
            _ = try await redis.command(["SAVE"])
            try await server.kill()
            // A tenth of a second for each key, and a look at the sockets after each.
            try await server.start(["--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024"])

            let error = try await redisError { _ = try await redis.command(["GET", "k1"]) }

            #expect(error?.code == "LOADING")
            #expect(error?.isUnavailable == true)
            #expect(
                try await World.eventually(within: .seconds(30)) {
                    await redis.pipeline([["GET", "k1"]]) == [.success(.string(text))]
                }
            )
            #expect(redis.statistics.connections == 2)
        }
    }

    @Test func logsInChoosesItsDatabaseAndSaysItsName() async throws {
        let server = try await Server(["--requirepass", "p@ss/ :%é"])
        let url = "unix://:p%40ss%2F%20%3A%25%C3%A9@\(server.socket)?db=3"

        try await World.withRedis(url, adjust: { $0.clientName = "a name" }) { redis in
            let info = try await redis.command(["CLIENT", "INFO"]).string ?? ""

            #expect(info.contains(" db=3 "))
            #expect(info.contains(" name=a-name "))
        }
    }

    @Test func logsInAsAUser() async throws {
        let server = try await Server(["--user", "ann", "on", ">secret", "~*", "+@all", "-client"])

        try await World.withRedis("unix://ann:secret@\(server.socket)") { redis async throws in
            #expect(try await redis.command(["ACL", "WHOAMI"]) == .string("ann"))
        }
    }

    @Test(arguments: [
        (":wrong@", "no connection: Redis refused AUTH: WRONGPASS invalid username-password pair or user is disabled."),
        ("", "no connection: Redis refused CLIENT: NOAUTH Authentication required."),
    ])
    func saysWhyRedisRefusesIt(_ credentials: String, _ message: String) async throws {
        let server = try await Server(["--requirepass", "secret"])
        let url = "unix://\(credentials)\(server.socket)"

        try await World.withRedis(url, adjust: { $0.connectTimeout = .seconds(2) }) { redis in
            let error = try await redisError { _ = try await redis.command(["PING"]) }

            #expect(error == RedisError(kind: .connection, message: message))
        }
    }

    @Test func failsAsUnavailableWhenRedisHasTooManyClients() async throws {
        let server = try await Server(["--maxclients", "1"])
        try await World.withRedis(server.url) { first in
            _ = try await first.command(["PING"])
            try await World.withRedis(server.url, adjust: { $0.connectTimeout = .seconds(2) }) { second in
                let error = try await redisError { _ = try await second.command(["PING"]) }

                #expect(error?.kind == .connection)
                #expect(error?.isUnavailable == true)
            }
        }
    }
}
