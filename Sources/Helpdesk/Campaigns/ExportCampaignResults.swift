import Foundation
import Functions
import Postgres
import Synchronization

/// What became of each recipient, as CSV (RFC 4180), in the order of the upload.
///
/// `export-campaign-results` in functions.yaml: `GET /orgs/:orgId/campaigns/:id/results.csv`, both roles. Read a thousand at a time as fast as
/// the caller takes them, each part under the caller's session.
///
/// - Throws: ``Failure/notFound(_:)`` when the campaign is absent or another organisation's.
struct ExportCampaignResults: HTTPFunction {
    static let input = Shape<CampaignPath>(path: [.required("id", .uuid)])
    static let output: OutputDeclaration = .other(contentType: "text/csv")

    func handle(_ input: CampaignPath, in context: HTTPContext) async throws -> Answer {
        let store = CampaignStore(try context.member().organisation)
        guard !(try await context.query(store.find(input.id)).isEmpty) else { throw Failure.notFound("campaign") }
        return Answer(
            status: 200,
            contentType: "text/csv; charset=utf-8",
            headers: [("Content-Disposition", "attachment; filename=\"results-\(input.id).csv\"")],
            stream: CampaignResults(input.id, store, context)
        )
    }
}

/// The lines of a campaign's results, a thousand at a time.
private final class CampaignResults: AnswerStream {
    private enum Position: Sendable {
        case header
        case after(String)
        case end
    }

    private static let columns = [
        "id", "contactId", "name", "phone", "handle", "status", "errorCode", "errorMessage", "messageId", "sentAt",
        "deliveredAt", "readAt", "repliedAt", "variables",
    ]
    private static let page = 1000

    private let id: Campaign.ID
    private let store: CampaignStore
    private let context: HTTPContext
    private let position = Mutex(Position.header)

    init(_ id: Campaign.ID, _ store: CampaignStore, _ context: HTTPContext) {
        self.id = id
        self.store = store
        self.context = context
    }

    func end() { position.withLock { $0 = .end } }

    func next() async throws -> [UInt8]? {
        switch position.withLock({ $0 }) {
        case .end: return nil
        case .header:
            position.withLock { $0 = .after("0") }
            return Array((Self.columns.joined(separator: ",") + "\r\n").utf8)
        case .after(let place):
            let rows = try await context.query(
                store.recipients(of: id, statuses: nil, after: place, limit: Self.page)
            )
            guard let last = rows.last else { return nil }
            let next = try last.get("cursor_position", as: String.self)
            position.withLock { position in
                guard case .after = position else { return }
                position = rows.count < Self.page ? .end : .after(next)
            }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(rows.count * 200)
            for row in rows { try Self.write(row, into: &bytes) }
            return bytes
        }
    }

    private static func write(_ row: PostgresRow, into bytes: inout [UInt8]) throws {
        // In the order of Recipient.record's columns.
        let texts: [String?] = try [0, 1, 2, 3, 4, 6, 7, 8, 9].map { try row.get($0, as: String?.self) }
        let times = try [10, 11, 12].map { try row.get($0, as: Date?.self)?.rfc3339 }
        let replied = try row.optional("replied_at", as: Date.self)?.rfc3339
        let variables = try row.get(5, as: String?.self)
        for (index, field) in (texts + times + [replied, variables]).enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            guard let field else { continue }
            let isPlain = field.utf8.allSatisfy { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") && $0 >= 0x20 }
            bytes.append(contentsOf: (isPlain ? field : "\"" + field.replacing("\"", with: "\"\"") + "\"").utf8)
        }
        bytes.append(contentsOf: [0x0D, 0x0A])
    }
}
