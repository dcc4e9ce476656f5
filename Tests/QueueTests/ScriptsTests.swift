import Foundation
import Redis
import Testing

@testable import Queue

@Suite struct ScriptsTests {
    @Test func everyScriptOfTheFolderIsListed() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/Queue/Scripts").standardizedFileURL

        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0 != "Common.lua" }

        #expect(Set(files) == Set(Scripts.all.map { $0.name + ".lua" }))
    }
}
