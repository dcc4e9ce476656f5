import Connectors
import Foundation
import Functions
import Helpdesk
import Postgres
import TestSupport

extension World {
    /// A world whose providers' files are a media server's, which it may ask.
    static func withMedia(
        _ settings: [String: String] = [:],
        _ body: (World, MediaServer) async throws -> Void
    ) async throws {
        let media = try await MediaServer()
        let own = ["EGRESS_ALLOW": "127.0.0.1", "META_GRAPH_URL": media.url, "ATTACHMENT_LIMIT": "1"]
        try await World.with(own.merging(settings) { _, new in new }) { try await body($0, media) }
    }

    func whatsApp(_ caller: Caller) async throws -> String {
        try await call("create-channel", as: caller, body: .whatsApp).text("id")
    }

    /// A received message with one attachment, and its provider's description where there is one.
    func receiveFile(
        on channel: String,
        _ attachment: JSON,
        media: JSON = .null,
        id: String = UUID().uuidString,
        phone: String = "+4915550001"
    ) async throws {
        let metadata: JSON = media == .null ? .null : ["media": [media]]
        let data: JSON = [
            "channelId": .string(channel), "externalId": .string(id), "sender": ["phone": .string(phone)],
            "text": "Look", "attachments": [attachment], "metadata": metadata,
        ]
        _ = try await work("receive-message", [data])
    }

    /// Runs the job that fetches and deletes an organisation's files.
    @discardableResult
    func fetchFiles(of caller: Caller) async throws -> Outcome {
        try await work("fetch-attachments", [["orgId": .string("\(caller.organisation)")]])[0]
    }

    /// Has what waits for a later try be due now.
    func hurryFiles() async throws {
        _ = try await owner.query(
            "UPDATE attachments SET next_attempt_at = now() WHERE status IN ('pending', 'erased')"
        )
    }

    /// `stored`, `failed: why` …, of every file in the order in which they came.
    func files() async throws -> [String?] {
        try await column("SELECT concat_ws(': ', status, error) FROM attachments ORDER BY created_at, id")
    }

    /// The ids of the rows.
    func fileIds() async throws -> [String] {
        try await column("SELECT id::text FROM attachments ORDER BY created_at, id").compactMap { $0 }
    }

    func file(_ id: String, as caller: Caller, range: String? = nil) async throws -> Reply {
        try await call("get-attachment", as: caller, path: ["id": id], headers: range.map { [("range", $0)] } ?? [])
    }

    /// What lies in the folder, by key.
    var keptFiles: [String] {
        let root = String(services.settings["ATTACHMENTS_URL"]?.dropFirst("file:".count) ?? "")
        let entries = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
        return entries.filter {
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: root + "/" + $0, isDirectory: &isFolder)
                && !isFolder.boolValue
        }.sorted()
    }
}
