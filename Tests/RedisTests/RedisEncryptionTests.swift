import Logging
import TestSupport
import Testing

@testable import Redis

/// A real server that speaks TLS alone.
@Suite struct RedisEncryptionTests {
    @Test func speaksToAServerWhoseCertificateIsTrusted() async throws {
        let server = try await RunningRedis(encrypts: true)
        let redis = try Self.client(server.url)

        _ = try await redis.command(["SET", "key", .string(String(repeating: "x", count: 300_000))])
        let length = try await redis.command(["STRLEN", "key"])
        server.kill()
        try await server.start()
        let afterwards = try await eventually { try? await redis.command(["STRLEN", "key"]).integer }
        await redis.shutdown()

        #expect(length.integer == 300_000)
        #expect(afterwards == 300_000)
    }

    /// Issued by nobody who is trusted; trusted, but another host's; and a server that doesn't encrypt.
    @Test func refusesWhoeverCannotProveWhoTheyAre() async throws {
        let (server, plain) = try await (RunningRedis(encrypts: true), RunningRedis())

        for url in [
            "rediss://localhost:\(server.port)", "rediss://127.0.0.1:\(server.port)?cafile=\(server.certificate)",
            "rediss://localhost:\(plain.port)?cafile=\(server.certificate)",
        ] {
            let redis = try Self.client(url)
            await #expect(throws: RedisError.self, "\(url)") { try await redis.command(["PING"]) }
            await redis.shutdown()
        }
    }

    private static func client(_ url: String) throws -> Redis {
        Redis(
            try RedisConfiguration(url: url),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        )
    }
}
