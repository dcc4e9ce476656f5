import Foundation
import Security
import TestSupport
import Testing

@testable import Storage

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@Suite struct StorageTests {
    /// Pieces of a file.
    struct Pieces: AsyncSequence, Sendable {
        let pieces: [[UInt8]]
        var breaks = false

        func makeAsyncIterator() -> Iterator { Iterator(rest: pieces[...], breaks: breaks) }

        struct Iterator: AsyncIteratorProtocol {
            var rest: ArraySlice<[UInt8]>
            let breaks: Bool

            mutating func next() async throws -> [UInt8]? {
                guard let piece = rest.popFirst() else {
                    if breaks { throw CancellationError() }
                    return nil
                }
                return piece
            }
        }
    }

    private static func put(_ text: [String], _ storage: AttachmentStorage, under key: String) async throws {
        let whole = Array(text.joined().utf8)
        try await storage.put(
            Pieces(pieces: text.map { Array($0.utf8) }),
            size: whole.count,
            digest: SHA256.digest(whole),
            under: key
        )
    }

    private static func fetch(_ url: String) async throws -> (status: Int, text: String, headers: [String: String]) {
        let (data, response) = try await URLSession.shared.data(from: try #require(URL(string: url)))
        let answer = try #require(response as? HTTPURLResponse)
        var headers: [String: String] = [:]
        for (name, value) in answer.allHeaderFields { headers["\(name)".lowercased()] = "\(value)" }
        return (answer.statusCode, String(decoding: data, as: UTF8.self), headers)
    }

    // MARK: A folder

    private func folder() throws -> (FolderStorage, AttachmentStorage, String) {
        let path = NSTemporaryDirectory() + "storage-\(UUID().uuidString)"
        let storage = try AttachmentStorage(url: "file:\(path)")
        guard case .folder(let folder) = storage else { throw CancellationError() }
        return (folder, storage, path)
    }

    @Test func aFolderKeepsWhatIsPutAndForgetsWhatIsDeleted() async throws {
        let (folder, storage, path) = try folder()
        defer { try? FileManager.default.removeItem(atPath: path) }

        try await Self.put(["old, and longer than the new one"], storage, under: "org/a")
        try await Self.put(["hel", "", "lo"], storage, under: "org/a")

        let file = try #require(try await folder.open("org/a"))
        #expect(file.size == 5)
        #expect(try await file.read(at: 1, count: 100) == Array("ello".utf8))
        try await storage.delete("org/a")
        try await storage.delete("org/a")
        #expect(try await folder.open("org/a") == nil)
        // Who had it open reads it to its end.
        #expect(try await file.read(at: 0, count: 5) == Array("hello".utf8))
        #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/org") == [])
    }

    @Test func aPutThatIsCutShortChangesNothingAndADeletionTakesItsRestAway() async throws {
        let (folder, storage, path) = try folder()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await Self.put(["whole"], storage, under: "org/a")
        let broken = Pieces(pieces: [Array("half".utf8)], breaks: true)

        await #expect(throws: CancellationError.self) {
            try await storage.put(broken, size: 8, digest: SHA256.digest("anything"), under: "org/a")
        }

        #expect(try await folder.open("org/a")?.read(at: 0, count: 9) == Array("whole".utf8))
        try await storage.delete("org/a")
        #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/org") == [])
    }

    @Test func filesOfAFolderAreTheirOwnersAlone() async throws {
        let (_, storage, path) = try folder()
        defer { try? FileManager.default.removeItem(atPath: path) }

        try await Self.put(["x"], storage, under: "org/a")

        let attributes = try FileManager.default.attributesOfItem(atPath: path + "/org/a")
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    // MARK: A bucket

    @Test func aBucketTakesAndGivesAwayFilesByWhatBotocoreSigns() async throws {
        let store = try await S3Store()
        let storage = try AttachmentStorage(url: store.url(path: "files/some%20prefix"))
        guard case .bucket(let bucket) = storage else { return }
        let name = "attachment; filename*=UTF-8''%C3%A4%20b+c.pdf"

        try await Self.put(["hel", "lo"], storage, under: "org/a")
        let address = bucket.readable(
            "org/a",
            for: 300,
            answer: [("response-content-type", "application/pdf"), ("response-content-disposition", name)]
        )
        let read = try await Self.fetch(address)
        let changed = try await Self.fetch(address.replacing("application%2Fpdf", with: "text%2Fhtml"))
        try await storage.delete("org/a")
        let gone = try await Self.fetch(bucket.readable("org/a", for: 300, answer: []))

        #expect(read.status == 200 && read.text == "hello")
        #expect(read.headers["content-type"] == "application/pdf")
        #expect(read.headers["content-disposition"] == name)
        #expect(changed.status == 403)
        #expect(gone.status == 404)
        #expect(
            store.requests == [
                "PUT /files/some%20prefix/org/a 200", "GET /files/some%20prefix/org/a 200",
                "GET /files/some%20prefix/org/a 403", "DELETE /files/some%20prefix/org/a 204",
                "GET /files/some%20prefix/org/a 404",
            ]
        )
    }

    @Test func anAddressOfABucketRunsOut() async throws {
        let store = try await S3Store()
        guard case .bucket(let bucket) = try AttachmentStorage(url: store.url()) else { return }

        let late = bucket.readable("a", for: 300, answer: [], at: Date(timeIntervalSinceNow: -301))

        #expect(try await Self.fetch(late).status == 403)
    }

    @Test func aStoreThatRefusesIsNotTakenForOneThatTook() async throws {
        let store = try await S3Store()
        let storage = try AttachmentStorage(url: store.url(secret: "another secret"))

        await #expect(throws: StorageFault.self) { try await Self.put(["x"], storage, under: "a") }

        #expect(store.requests == ["PUT /files/a 403"])
    }

    @Test(arguments: [
        "http://example.com/x", "file:", "s3://host/bucket", "s3://key@host/bucket", "s3://key:secret@host",
        "s3://key:secret@/bucket",
    ])
    func refusesAnAddressThatNamesNoPlace(_ url: String) {
        #expect(throws: StorageFault.self) { try AttachmentStorage(url: url) }
    }
}
