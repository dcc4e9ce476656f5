import Foundation
import Testing

@testable import Fleet

@Suite struct SourceWatchTests {
    @Test func tellsAChangeOnceItHasComeToRest() throws {
        let (old, half, whole) = (try stamp("a"), try stamp("ab"), try stamp("abc"))
        var settling = Settling(["Sources/A.swift": old, "Sources/B.swift": old])

        let told = [
            settling.observe(["Sources/A.swift": old, "Sources/B.swift": old]),
            settling.observe(["Sources/A.swift": half, "Sources/B.swift": old]),
            settling.observe(["Sources/A.swift": whole, "Sources/C.swift": old]),
            settling.observe(["Sources/A.swift": whole, "Sources/C.swift": old]),
            settling.observe(["Sources/A.swift": whole, "Sources/C.swift": old]),
        ]

        #expect(told == [[], [], [], ["Sources/A.swift", "Sources/B.swift", "Sources/C.swift"], []])
    }

    @Test func tellsNothingOfWhatIsAsItWas() throws {
        let (old, new) = (try stamp("a"), try stamp("b"))
        var settling = Settling(["functions.yaml": old])

        _ = settling.observe(["functions.yaml": old, "4913": new])
        let told = [settling.observe(["functions.yaml": old]), settling.observe(["functions.yaml": old])]

        #expect(told == [[], []])
    }

    @Test(
        arguments: [
            ".A.swift.swp", ".#A.swift", "#A.swift#", "A.swift~", "A.swift.tmp", "4913", "A.swift___jb_tmp___",
            "A.orig",
            ".DS_Store",
        ]
    )
    func ignoresWhatEditorsLeave(name: String) {
        #expect(SourceTree.ignores(name))
    }

    @Test(arguments: ["A.swift", "0001_init.sql", "up", "add.lua", "module.modulemap"])
    func seesWhatIsBuilt(name: String) {
        #expect(!SourceTree.ignores(name))
    }

    @Test func looksAtSourcesThePackageAndTheManifestAlone() throws {
        let folder = try TemporaryFolder()
        for name in ["Sources/Helpdesk", "runner", "Tests", ".build"] {
            try FileManager.default.createDirectory(atPath: "\(folder.path)/\(name)", withIntermediateDirectories: true)
        }
        for name in [
            "Sources/Helpdesk/A.swift", "Sources/Helpdesk/.A.swift.swp", "runner/up", "Tests/A.swift", "Package.swift",
            "functions.yaml", "README.md", ".build/a",
        ] {
            _ = try folder.write("x", to: name)
        }

        let seen = SourceTree(root: folder.path).look()

        #expect(seen.keys.sorted() == ["Package.swift", "Sources/Helpdesk/A.swift", "functions.yaml", "runner/up"])
    }

    @Test func knowsAFileThatWasReplacedByOneOfTheSameSize() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("x", to: "functions.yaml")
        let before = FileStamp(file)

        _ = try folder.write("y", to: "functions.yaml")

        #expect(before != nil)
        #expect(FileStamp(file) != before)
    }

    private func stamp(_ text: String) throws -> FileStamp {
        let folder = try TemporaryFolder()
        return try withExtendedLifetime(folder) { try #require(FileStamp(try folder.write(text, to: "file"))) }
    }
}

@Suite struct BuildLogTests {
    @Test func namesTheFirstErrorsOnceEach() {
        let log = BuildLog(
            """
            [3/9] Compiling Helpdesk CloseTicket.swift
            /w/Sources/Helpdesk/CloseTicket.swift:7:9: error: cannot find 'tikcet' in scope
            5 |     func handle() {
            /w/Sources/Helpdesk/CloseTicket.swift:7:9: error: cannot find 'tikcet' in scope
            /w/Sources/Helpdesk/CloseTicket.swift:9:1: warning: unused
            /w/Sources/Helpdesk/OpenTicket.swift:1:1: error: expected declaration
            /w/Sources/Helpdesk/OpenTicket.swift:2:1: error: expected declaration
            error: fatalError
            """,
            root: "/w"
        )

        #expect(
            log.errors(limit: 2) == [
                "Sources/Helpdesk/CloseTicket.swift:7:9: error: cannot find 'tikcet' in scope",
                "Sources/Helpdesk/OpenTicket.swift:1:1: error: expected declaration", "… and 1 more error",
            ]
        )
    }

    @Test func showsTheLastLinesWhereNoneIsAnError() {
        #expect(BuildLog("a\nb\nc\n", root: "/w").errors(limit: 2) == ["b", "c"])
        #expect(BuildLog("[1/2] x\nerror: no such module 'X'\n", root: "/w").errors() == ["error: no such module 'X'"])
    }
}
