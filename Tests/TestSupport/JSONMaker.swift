import Foundation

/// Makes JSON values, the same ones for the same seed.
package struct JSONMaker {
    private var random: SeededGenerator

    package init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    private mutating func below(_ bound: Int) -> Int { random.below(bound) }

    package mutating func pick<Element>(_ elements: [Element]) -> Element { random.pick(elements) }

    /// The bytes of a body: from nothing, or made of what a provider really sends.
    package mutating func body(from seeds: [Any], round: Int) throws -> [UInt8] {
        let made = round.isMultiple(of: 2) ? value(depth: 6) : changed(pick(seeds))
        return Array(try JSONSerialization.data(withJSONObject: made, options: [.fragmentsAllowed]))
    }

    private static let names = [
        "object", "entry", "changes", "value", "messages", "statuses", "messaging", "message", "id", "mid", "sender",
        "direct_message_events", "for_user_id", "notifications", "type", "action", "text", "timestamp", "metadata",
        "attachments", "data", "users", "x",
    ]

    private mutating func leaf() -> Any {
        switch below(9) {
        case 0: NSNull()
        case 1: below(2) == 0
        case 2: Int64(bitPattern: random.next())
        case 3: Double(below(1_000_000)) / 7
        case 4: ""
        case 5: "\u{0}\u{202E}👩‍👩‍👧‍👦"
        case 6: String(repeating: "a", count: below(3000))
        case 7: pick(["page", "instagram", "whatsapp_business_account", "text", "image", "COMMENT", "message_create"])
        default: String(below(1_000_000))
        }
    }

    package mutating func value(depth: Int) -> Any {
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
    package mutating func changed(_ value: Any, depth: Int = 12) -> Any {
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

/// The webhooks of Tests/Fixtures.
package enum ProviderFixtures {
    package static func bodies(of kind: String) throws -> [Any] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/\(kind)")
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "json" }
            .sorted { $0.path < $1.path }
            .map { try JSONSerialization.jsonObject(with: Data(contentsOf: $0)) }
    }
}
