import Foundation
import Postgres
import TestSupport
import Testing

/// Whatever comes under a signature that holds, over HTTP to the real executable: 200 or 400, and what comes afterwards is received.
///
/// What connectors make of far more bodies than these, AnyBodyTests asks without a server.
@Suite struct AnyWebhookTests {
    /// For each kind of channel; more in `runner/test --fuzz`.
    private static let rounds = ProcessInfo.processInfo.environment["TEST_FUZZ"] == "long" ? 10_000 : 200

    @Test(arguments: SignedChannel.kinds)
    func anyBodyIsAnsweredAndStopsNothing(_ kind: String) async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let channel = try await SignedChannel(kind, of: acme)
        let seeds = try ProviderFixtures.bodies(of: kind)
        var maker = JSONMaker(seed: UInt64(kind.utf8.reduce(11) { $0 * 31 + Int($1) }))

        // In a few pieces, each all at once.
        for start in stride(from: 0, to: Self.rounds, by: 100) {
            let bodies = try (start..<start + 100).map { try maker.body(from: seeds, round: $0) }
            try await withThrowingTaskGroup(of: ([UInt8], Int).self) { group in
                for part in 0..<4 {
                    group.addTask {
                        for index in stride(from: part, to: bodies.count, by: 4) {
                            let status = try await channel.post(bodies[index]).status
                            guard status == 200 || status == 400 else { return (bodies[index], status) }
                        }
                        return ([], 200)
                    }
                }
                for try await (body, status) in group {
                    #expect(status == 200, "\(kind): \(String(decoding: body, as: UTF8.self))")
                }
            }
        }
        let last = try await channel.post(channel.messages(1, from: "441632960999"))

        #expect(last.status == 200)
        let arrived = try await eventually(within: .seconds(120)) { () -> Bool? in
            let count = try await host.database.integer(
                "SELECT count(*)::integer AS value FROM messages WHERE text = 'message 0'"
            )
            return count > 0 ? true : nil
        }
        #expect(arrived)
        #expect(!host.log.contains("a function failed"), "\(host.log.suffix(3000))")
        host.stop()
    }
}
