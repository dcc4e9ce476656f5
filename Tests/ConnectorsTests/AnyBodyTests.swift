import Foundation
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
        let seeds = try Fixtures.bodies(of: kind)
        #expect(seeds.count > 3)
        var maker = JSONMaker(seed: UInt64(kind.utf8.reduce(7) { $0 * 31 + Int($1) }))

        for round in 0..<Self.rounds {
            // Half of them from nothing, half by changing what providers really send.
            let value = round.isMultiple(of: 2) ? maker.value(depth: 6) : maker.changed(maker.pick(seeds))
            let body = try JSONSerialization.data(withJSONObject: value, options: [.fragmentsAllowed])
            do {
                for event in try connector.events(in: .signed(Array(body), for: kind), for: account) {
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

/// The bodies of Tests/Fixtures.
private enum Fixtures {
    static func bodies(of kind: String) throws -> [Any] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/\(kind)")
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "json" }
            .sorted { $0.path < $1.path }
            .map { try JSONSerialization.jsonObject(with: Data(contentsOf: $0)) }
    }
}

/// Makes JSON values, the same ones for the same seed.
private struct JSONMaker {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// SplitMix64.
    private mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    private mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    private static let names = [
        "object", "entry", "changes", "value", "messages", "statuses", "messaging", "message", "id", "mid", "sender",
        "direct_message_events", "for_user_id", "notifications", "type", "action", "text", "timestamp", "metadata",
        "attachments", "data", "users", "x",
    ]

    private mutating func leaf() -> Any {
        switch below(9) {
        case 0: NSNull()
        case 1: below(2) == 0
        case 2: Int64(bitPattern: next())
        case 3: Double(below(1_000_000)) / 7
        case 4: ""
        case 5: "\u{0}\u{202E}👩‍👩‍👧‍👦"
        case 6: String(repeating: "a", count: below(3000))
        case 7: pick(["page", "instagram", "whatsapp_business_account", "text", "image", "COMMENT", "message_create"])
        default: String(below(1_000_000))
        }
    }

    mutating func value(depth: Int) -> Any {
        guard depth > 0 else { return leaf() }
        switch below(4) {
        case 0: return leaf()
        case 1: return (0..<below(4)).map { _ in value(depth: depth - 1) }
        default:
            var members: [String: Any] = [:]
            for _ in 0..<below(5) { members[pick(Self.names)] = value(depth: depth - 1) }
            return members
        }
    }

    /// A copy with some of its parts replaced, left out or repeated.
    mutating func changed(_ value: Any, depth: Int = 12) -> Any {
        guard depth > 0, below(14) != 0 else { return self.value(depth: 2) }
        if let members = value as? [String: Any] {
            var copy: [String: Any] = [:]
            for name in members.keys.sorted() where below(16) != 0 {
                copy[name] = changed(members[name] ?? 0, depth: depth - 1)
            }
            return copy
        }
        if let elements = value as? [Any] {
            return elements.flatMap { element in
                (0..<pick([1, 1, 1, 2, 0])).map { _ in changed(element, depth: depth - 1) }
            }
        }
        return below(10) == 0 ? leaf() : value
    }
}
