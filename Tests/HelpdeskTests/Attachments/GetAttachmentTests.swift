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
            let whole = try await world.file(id, as: jane, range: "bytes=90-")

            #expect(part.status == 206 && part.json.string == "ello")
            #expect(whole.status == 200 && whole.json.string == "hello, ä")
        }
    }

    @Test(arguments: [
        ("bytes=0-4", 0..<5), ("bytes=3-", 3..<9), ("bytes=-2", 7..<9), ("bytes=-20", 0..<9), ("bytes=2-200", 2..<9),
        ("bytes=8-8", 8..<9),
    ])
    func readsARange(_ text: String, _ range: Range<Int>) {
        #expect(GetAttachment.bytes(text, of: 9) == range)
    }

    @Test(arguments: [
        "bytes=9-", "bytes=4-3", "bytes=-0", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=1", "bytes=-",
    ])
    func takesARangeThatIsNoneForNone(_ text: String) {
        #expect(GetAttachment.bytes(text, of: 9) == nil)
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
