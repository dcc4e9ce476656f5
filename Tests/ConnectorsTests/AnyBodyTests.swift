import Foundation
import TestSupport
import Testing

@testable import Connectors

/// Whatever a provider's signature vouches for: it is read or refused as another format, and harms nothing beside it.
@Suite struct AnyBodyTests {
    static let kinds = ["whatsapp", "facebook", "instagram", "twitter", "linkedin"]

    /// How many bodies each connector gets: more in `runner/test --fuzz`.
    private static let rounds = ProcessInfo.processInfo.environment["TEST_FUZZ"] == "long" ? 100_000 : 1000

    @Test(arguments: kinds)
    func anyJSONIsReadOrRefusedByItsFormat(_ kind: String) throws {
        let account = ChannelAccount.test(kind)
        let connector = Connectors.connector(for: kind)
        let seeds = try ProviderFixtures.bodies(of: kind)
        #expect(seeds.count > 3)
        var maker = JSONMaker(seed: UInt64(kind.utf8.reduce(7) { $0 * 31 + Int($1) }))

        for round in 0..<Self.rounds {
            let body = try maker.body(from: seeds, round: round)
            do {
                for event in try connector.events(in: .signed(body, for: kind), for: account) {
                    guard case .unreadable(let kept, _) = event else { continue }
                    #expect(!kept.text.utf8.contains(0))
                }
            } catch {
                guard case .badFormat = error else {
                    Issue.record("\(kind): \(error) of \(String(decoding: body, as: UTF8.self))")
                    continue
                }
            }
        }
    }
}
