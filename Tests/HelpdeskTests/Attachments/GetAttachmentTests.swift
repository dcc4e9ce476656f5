import Functions
import TestSupport
import Testing

@testable import Helpdesk

@Suite struct GetAttachmentTests {
    @Test func anothersFileIsNobodys() async throws {
        try await World.withMedia { world, media in
            let (jane, john) = (try await world.admin(), try await world.admin("Other"))
            let web = try await world.mock(jane)
            try await world.receiveFile(on: web, ["type": "file", "url": .string("\(media.url)/files/letter.txt")])
            try await world.fetchFiles(of: jane)
            let id = try #require(try await world.fileIds().first)

            let theirs = try await world.file(id, as: john)
            let nobodys = try await world.file("01936f5e-7a00-7000-8000-00000000dead", as: jane)

            #expect(theirs == nobodys)
            #expect(theirs.status == 404)
            #expect(try await world.file(id, as: try await world.agent(of: jane)).status == 200)
        }
    }

    @Test func aPartIsHandedOutWhereOneIsAskedFor() async throws {
        try await World.withMedia { world, media in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receiveFile(on: web, ["type": "file", "url": .string("\(media.url)/files/letter.txt")])
            try await world.fetchFiles(of: jane)
            let id = try #require(try await world.fileIds().first)

            let part = try await world.file(id, as: jane, range: "bytes=1-4")
            let end = try await world.file(id, as: jane, range: "bytes=-2")
            let several = try await world.file(id, as: jane, range: "bytes=0-0,2-2")
            let beyond = try await world.file(id, as: jane, range: "bytes=90-")

            #expect(part.status == 206 && part.json.string == "ello")
            #expect(end.status == 206 && end.json.string == "ä")
            #expect(several.status == 200 && several.json.string == "hello, ä")
            #expect(beyond.status == 416 && beyond.detail == "The file has 9 bytes.")
        }
    }

    @Test(
        arguments: [
            (nil, .whole), ("bytes=0-4", .part(0..<5)), ("bytes=3-", .part(3..<9)), ("bytes=-2", .part(7..<9)),
            ("bytes=-20", .part(0..<9)), ("bytes=-99999999999999999999", .part(0..<9)), ("bytes=2-200", .part(2..<9)),
            ("bytes=2-99999999999999999999", .part(2..<9)), ("bytes=8-8", .part(8..<9)), ("Bytes=0-0", .part(0..<1)),
            ("bytes=9-", .beyond), ("bytes=9-9", .beyond), ("bytes=99999999999999999999-", .beyond),
            ("bytes=-0", .beyond), ("bytes=4-3", .whole), ("bytes=20-10", .whole), ("bytes=0-1,3-4", .whole),
            ("bytes=9-,10-", .whole), ("items=0-1", .whole), ("bytes=a-b", .whole), ("bytes=+1-2", .whole),
            ("bytes=1-+2", .whole), ("bytes=1--2", .whole), ("bytes=1", .whole), ("bytes=-", .whole),
            ("bytes=", .whole),
            ("bytes", .whole), ("", .whole),
        ] as [(String?, FileSpan)]
    )
    func readsARange(_ header: String?, _ span: FileSpan) {
        #expect(FileSpan(header, of: 9) == span)
    }

    @Test(
        arguments: [(nil, .whole), ("bytes=0-", .beyond), ("bytes=-5", .whole), ("bytes=-0", .beyond)]
            as [(String?, FileSpan)]
    )
    func anEmptyFileHasNoParts(_ header: String?, _ span: FileSpan) {
        #expect(FileSpan(header, of: 0) == span)
    }

    @Test(
        arguments: [
            (nil, "attachment"), ("a.pdf", #"attachment; filename="a.pdf"; filename*=UTF-8''a.pdf"#),
            ("Ä \"b\".txt", #"attachment; filename="_ _b_.txt"; filename*=UTF-8''%C3%84%20%22b%22.txt"#),
        ] as [(String?, String)]
    )
    func namesTheFileForOldAndNewClients(_ name: String?, _ header: String) {
        #expect(AttachmentFile.disposition(name: name) == header)
    }

    @Test(arguments: [
        ("image/jpeg", "image", true), ("image/webp; x=1", "sticker", true), ("text/html", "image", false),
        ("application/octet-stream", "image", true), ("video/mp4", "audio", true), ("image/gif", "video", true),
        ("text/html", "file", true), ("audio/ogg", "video", false),
    ])
    func knowsWhatFitsAKind(_ type: String, _ kind: String, _ fits: Bool) {
        #expect(AttachmentFile.fits(type, kind) == fits)
    }
}
