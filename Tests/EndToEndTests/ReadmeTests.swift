import Foundation
import TestSupport
import Testing

/// The README's walk through the main job, as somebody types it.
@Suite struct ReadmeTests {
    @Test func theWalkEndsWithTheAnswerDelivered() async throws {
        let host = try await RunningHost()
        let readme = try String(contentsOfFile: Checkout.root + "/README.md", encoding: .utf8)
        let chapter = try #require(readme.components(separatedBy: "\n## ").first { $0.hasPrefix("A walk through") })
        let blocks = chapter.components(separatedBy: "```sh\n").dropFirst().map { block in
            block.components(separatedBy: "```")[0]
        }
        let script = blocks.joined().replacing("http://localhost:3000", with: host.api.base)

        let walk = try await Command.shell(script)

        let lines = walk.output.split(separator: "\n")
        let last = try JSONSerialization.jsonObject(with: Data((lines.last ?? "").utf8)) as? [String: Any]
        let messages = last?["data"] as? [[String: Any]] ?? []
        #expect(blocks.count >= 5)
        #expect(walk.status == 0, "\(walk.errors)")
        #expect(messages.map { $0["direction"] as? String } == ["inbound", "outbound"])
        #expect(messages.last?["status"] as? String == "delivered")
        #expect(messages.first?["text"] as? String == "Hello, I need help")
        host.stop()
    }
}
