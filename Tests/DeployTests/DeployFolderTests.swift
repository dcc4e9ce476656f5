import Foundation
import Testing

@testable import Deploy

@Suite struct DeployFolderTests {
    @Test func theSameAgainIsTheSame() throws {
        #expect(try Samples.kubernetes() == Samples.kubernetes())
        #expect(try Samples.compose(perFunction: true) == Samples.compose(perFunction: true))
    }

    @Test func namesWhatDiffersIsMissingOrIsLeftOver() throws {
        let files = try Samples.kubernetes()
        let folder = try Samples.folder(files)
        defer { try? FileManager.default.removeItem(at: folder) }  // a folder that stays is in nobody's way
        let untouched = DeployFolder.drift(files, in: folder)
        try Data("# mine\n".utf8).write(to: folder.appending(path: "mine.yaml"))
        try Data("changed\n".utf8).write(to: folder.appending(path: "40-api.yaml"))
        try FileManager.default.removeItem(at: folder.appending(path: "20-network.yaml"))
        try FileManager.default.copyItem(
            at: folder.appending(path: "30-gateway.yaml"),
            to: folder.appending(path: "40-gone.yaml")
        )

        let drift = DeployFolder.drift(files, in: folder)
        try DeployFolder.write(files, to: folder)

        #expect(untouched.isEmpty)
        #expect(drift == ["20-network.yaml", "40-api.yaml", "40-gone.yaml"])
        #expect(DeployFolder.drift(files, in: folder).isEmpty)
        #expect(FileManager.default.fileExists(atPath: folder.appending(path: "mine.yaml").path))
    }
}
