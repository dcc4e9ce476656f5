import Foundation
import Functions
import Helpdesk
import Postgres
import Redis
import Security
import TestSupport
import Testing

@Suite struct FetchAttachmentsTests {
    private static let image: JSON = ["type": "image", "mimeType": "image/jpeg"]

    private static func media(_ id: String, digest: [UInt8] = SHA256.digest(MediaServer.photo)) -> JSON {
        ["id": .string(id), "mime_type": "image/jpeg", "sha256": .string(Base64.standard.encode(digest))]
    }

    private static func link(_ url: String, _ type: String = "image", name: JSON = .null) -> JSON {
        ["type": .string(type), "url": .string(url), "name": name]
    }

    @Test func aPictureOfWhatsAppIsFetchedByItsIdAndKept() async throws {
        try await World.withMedia { world, media in
            let jane = try await world.admin()
            let phone = try await world.whatsApp(jane)
            try await world.receiveFile(on: phone, Self.image, media: Self.media("wa1"))
            let queued = try await world.queued("attachments")

            let outcome = try await world.fetchFiles(of: jane)

            #expect(queued == [["orgId": .string("\(jane.organisation)")]])
            #expect(outcome == .done())
            #expect(try await world.files() == ["stored"])
            let id = try #require(try await world.fileIds().first)
            let proof = " Bearer " + MediaServer.token
            #expect(media.requests == ["GET /v25.0/wa1" + proof, "GET /media/wa1" + proof])
            #expect(world.keptFiles == ["\(jane.organisation)/\(id)"])
            let ticket = try await world.call("list-tickets", as: jane).text("data.0.id")
            let shown = try await world.show(ticket, as: jane)["messages.0.attachments.0"]
            let expected: JSON = [
                "type": "image", "url": .string("https://help.example/orgs/\(jane.organisation)/attachments/\(id)"),
                "mimeType": "image/jpeg", "name": .null, "size": .number("\(MediaServer.photo.utf8.count)"),
            ]
            #expect(shown.map(Self.sorted) == Self.sorted(expected))
            let file = try await world.file(id, as: jane)
            #expect(file.status == 200)
            #expect(file.json.string == MediaServer.photo)
            #expect(try await world.events(jane.organisation).last == "message.updated")
        }
    }

    private static func sorted(_ json: JSON) -> [String] {
        (json.members ?? []).map { "\($0.name) \($0.value.text)" }.sorted()
    }

    @Test func filesThatWebhooksLeadToAreFetchedWithoutProofOfWhoWeAre() async throws {
        try await World.withMedia { world, media in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receiveFile(
                on: web,
                Self.link("\(media.url)/files/letter.txt?x=1", "file", name: "Ä b.txt")
            )
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/redirect"))

            try await world.fetchFiles(of: jane)

            #expect(try await world.files() == ["stored", "stored"])
            #expect(
                media.requests == [
                    "GET /files/letter.txt?x=1", "GET /files/redirect", "GET /files/photo.jpg",
                ]
            )
            let ids = try await world.fileIds()
            #expect(try await world.file(ids[0], as: jane).json.string == "hello, ä")
        }
    }

    /// What ends without a file at once, and why.
    @Test(arguments: [
        ("missing", "image", "The file's server answered 404."),
        ("circle", "image", "The file's address can't be asked"),
        ("inward", "image", "10.0.0.1 is not at a public address"),
        ("big", "image", "The file is larger than 1 MiB."),
        ("endless", "image", "The file is larger than 1 MiB."),
    ])
    func whatCanNeverBeHadFailsAtOnce(_ name: String, _ type: String, _ reason: String) async throws {
        try await World.withMedia { world, media in
            let jane = try await world.admin()
            try await world.receiveFile(on: try await world.mock(jane), Self.link("\(media.url)/files/\(name)", type))

            try await world.fetchFiles(of: jane)

            let files = try await world.files()
            #expect(files.first??.hasPrefix("failed: ") == true)
            #expect(files.first??.contains(reason) == true, "\(files)")
            #expect(world.keptFiles == [])
            let id = try #require(try await world.fileIds().first)
            let answer = try await world.file(id, as: jane)
            #expect(answer.status == 404)
            #expect(answer.detail.contains(reason))
        }
    }

    @Test func nothingIsAskedInOurOwnNetwork() async throws {
        try await World.withMedia(["EGRESS_ALLOW": ""]) { world, media in
            let jane = try await world.admin()
            try await world.receiveFile(on: try await world.mock(jane), Self.link("\(media.url)/files/photo.jpg"))

            try await world.fetchFiles(of: jane)

            #expect(try await world.files().first??.contains("not at a public address") == true)
            #expect(media.requests == [])
        }
    }

    /// What may yet be had waits; after five damaged tries it doesn't any more.
    @Test(arguments: [
        ("tampered", "another checksum", true), ("short", "bytes, not", true), ("flaky", "answered 500", false),
    ])
    func whatIsDamagedOrAwayIsTriedAgain(_ id: String, _ reason: String, _ isDamaged: Bool) async throws {
        try await World.withMedia { world, _ in
            let jane = try await world.admin()
            let digest = id == "tampered" ? SHA256.digest("another") : SHA256.digest(MediaServer.photo)
            let media = Self.media(id, digest: digest)
            try await world.receiveFile(on: try await world.whatsApp(jane), Self.image, media: media)

            try await world.fetchFiles(of: jane)

            let first = try await world.files()
            #expect(first.first??.hasPrefix("pending: ") == true)
            #expect(first.first??.contains(reason) == true, "\(first)")
            let file = try #require(try await world.fileIds().first)
            let waiting = try await world.file(file, as: jane)
            #expect(waiting.status == 409)
            #expect(waiting.retryAfter == 5)
            for _ in 1...4 {
                try await world.hurryFiles()
                try await world.fetchFiles(of: jane)
            }
            #expect(try await world.files().first??.prefix(6) == (isDamaged ? "failed" : "stored"))
        }
    }

    @Test func aPageIsNoPictureAndWhatCouldRunIsServedAsBytes() async throws {
        try await World.withMedia { world, media in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/page"))
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/page.svg"))
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/page", "file"))

            try await world.fetchFiles(of: jane)

            #expect(
                try await world.files() == [
                    "pending: What came is text/html, not of the kind image.", "stored", "stored",
                ]
            )
            let types = try await world.column("SELECT content_type FROM attachments WHERE status = 'stored'")
            #expect(types == ["application/octet-stream", "application/octet-stream"])
        }
    }

    @Test func anAccessTokenThatHasRunOutIsWaitedForAndAFileThatIsGoneIsNot() async throws {
        try await World.withMedia { world, _ in
            let jane = try await world.admin()
            let phone = try await world.whatsApp(jane)
            try await world.receiveFile(on: phone, Self.image, media: Self.media("gone"))
            try await world.fetchFiles(of: jane)
            _ = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": phone],
                body: ["credentials": ["accessToken": "another token"]]
            )
            try await world.receiveFile(on: phone, Self.image, media: Self.media("wa2"))

            try await world.fetchFiles(of: jane)

            #expect(
                try await world.files() == [
                    "failed: WhatsApp has the file no more.",
                    "pending: WhatsApp answered 401 when asked for the file.",
                ]
            )
            _ = try await world.call("delete-channel", as: jane, path: ["channelId": phone])
            try await world.hurryFiles()
            try await world.fetchFiles(of: jane)
            #expect(try await world.files().last??.hasPrefix("failed: The channel was deleted") == true)
        }
    }

    @Test func storiesLinksAndWhatHasNoAddressAreNotKept() async throws {
        try await World.withMedia { world, media in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            for type in ["story", "post", "link", "location", "contact", "unsupported"] {
                try await world.receiveFile(on: web, Self.link("\(media.url)/files/photo.jpg", type))
            }
            try await world.receiveFile(on: web, Self.image)

            try await world.fetchFiles(of: jane)

            #expect(try await world.files() == [])
            #expect(media.requests == [])
        }
    }

    // MARK: Being taken back

    private static func unsend(_ id: String, on channel: String, in world: World) async throws {
        let data: JSON = ["channelId": .string(channel), "kind": "unsend", "externalId": .string(id)]
        _ = try await world.work("apply-change", [data])
    }

    @Test func aMessageThatIsTakenBackTakesItsFileAlong() async throws {
        try await World.withMedia { world, media in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/photo.jpg"), id: "m1")
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/photo.jpg"), id: "m2")
            try await world.fetchFiles(of: jane)
            let ids = try await world.fileIds()

            try await Self.unsend("m1", on: web, in: world)
            let gone = try await world.file(ids[0], as: jane)
            try await world.fetchFiles(of: jane)

            #expect(gone.status == 404)
            #expect(try await world.fileIds() == [ids[1]])
            #expect(world.keptFiles == ["\(jane.organisation)/\(ids[1])"])
        }
    }

    @Test func anErasedContactsFilesAreDeletedAlsoOneThatComesAtThatMoment() async throws {
        try await World.withMedia { world, media in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/photo.jpg"))
            try await world.fetchFiles(of: jane)
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/held.jpg"))
            let contact = try #require(try await world.column("SELECT id::text FROM contacts").first ?? nil)

            async let fetching = world.fetchFiles(of: jane)
            _ = try await eventually { media.requests.contains("GET /files/held.jpg") ? true : nil }
            let erased = try await world.erase(contact, as: jane)
            // The stored one is another job's, as the erasure had it queued.
            try await world.fetchFiles(of: jane)
            #expect(world.keptFiles == [])
            media.release()
            _ = try await fetching

            #expect(erased.status == 202)
            #expect(world.keptFiles == [])
            #expect(try await world.queued("attachments").isEmpty == false)
            try await world.hurryFiles()
            try await world.fetchFiles(of: jane)
            #expect(try await world.fileIds() == [])
            #expect(try await world.columns(holding: ["photo.jpg", "held.jpg"]) == [])
        }
    }

    // MARK: Being killed

    @Test func whatACrashLeftIsOverwrittenOrDeleted() async throws {
        try await World.withMedia { world, media in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/photo.jpg"), id: "m1")
            try await world.receiveFile(on: web, Self.link("\(media.url)/files/missing"), id: "m2")
            let ids = try await world.fileIds()
            let root = String(world.services.settings["ATTACHMENTS_URL"]?.dropFirst(5) ?? "") + "/\(jane.organisation)/"
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
            // Killed between storing and committing, and while storing.
            for name in [ids[0], ids[1], ids[1] + ".part"] {
                try Data("half".utf8).write(to: URL(fileURLWithPath: root + name))
            }

            try await world.fetchFiles(of: jane)

            #expect(world.keptFiles == ["\(jane.organisation)/\(ids[0])"])
            #expect(try await world.file(ids[0], as: jane).json.string == MediaServer.photo)
        }
    }

    @Test func aLostJobIsAddedAgainAndASurplusOneDoesNothing() async throws {
        try await World.withMedia { world, media in
            let (jane, john) = (try await world.admin(), try await world.admin("Other"))
            try await world.receiveFile(on: try await world.mock(jane), Self.link("\(media.url)/files/photo.jpg"))
            _ = try await world.services.redis.command(["DEL", .string("test:\(world.database.name):attachments:wait")])

            try await world.runSchedule("sweep-attachments")

            #expect(try await world.queued("attachments") == [["orgId": .string("\(jane.organisation)")]])
            try await world.fetchFiles(of: john)
            #expect(try await world.files() == ["pending"])
            try await world.fetchFiles(of: jane)
            try await world.fetchFiles(of: jane)
            try await world.runSchedule("sweep-attachments")
            #expect(try await world.files() == ["stored"])
            #expect(media.requests.count == 1)
            #expect(try await world.queued("attachments").count == 1)
        }
    }

    // MARK: A bucket

    @Test func aBucketsFilesAreServedByASignedAddress() async throws {
        let store = try await S3Store()
        try await World.withMedia(["ATTACHMENTS_URL": store.url()]) { world, media in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receiveFile(
                on: web,
                Self.link("\(media.url)/files/letter.txt", "file", name: "a.txt"),
                id: "m1"
            )
            try await world.fetchFiles(of: jane)
            let id = try #require(try await world.fileIds().first)

            let answer = try await world.file(id, as: jane)
            try await Self.unsend("m1", on: web, in: world)
            try await world.fetchFiles(of: jane)

            #expect(answer.status == 302)
            let key = "/files/\(jane.organisation)/\(id)"
            #expect(store.requests == ["PUT \(key) 200", "DELETE \(key) 204"])
        }
    }
}
