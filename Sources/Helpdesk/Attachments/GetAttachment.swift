import Foundation
import Functions
import Logging
import Postgres
import Storage
import Synchronization

/// Hands out the file of something that was received.
///
/// `get-attachment` in functions.yaml: `GET /orgs/:orgId/attachments/:id`, both roles. From a folder it is streamed, a part of it where the
/// caller asks for a range; from a bucket the answer is 302 to an address that holds for five minutes. Either way browsers
/// are told to keep it as a file and not to guess its type; types that could run are served as mere bytes.
///
/// - Throws: ``Failure/notFound(_:)`` when the attachment is absent, taken back or another organisation's, or can't be had any more;
///   ``Failure/conflict(_:)`` while it is still being fetched.
struct GetAttachment: HTTPFunction {
    struct Input: Decodable, Sendable {
        let id: AttachmentFile.ID
    }

    static let input = Shape<Input>(path: [.required("id", .uuid)])
    static let output: OutputDeclaration = .file(types: AttachmentFile.safeTypes)

    private static let addressHolds = 300

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        guard let row = try await context.query(AttachmentStore(organisation).find(input.id)).first else {
            throw Failure.notFound("attachment")
        }
        switch try row.get("status", as: String.self) {
        case "pending":
            throw Failure(status: 409, detail: "The file has not been fetched from its provider yet.", retryAfter: 5)
        case "failed":
            let reason = try row.optional("error", as: String.self) ?? ""
            throw Failure(status: 404, detail: "The file could not be fetched. \(reason)")
        default: break
        }
        let type = try row.optional("content_type", as: String.self) ?? "application/octet-stream"
        let disposition = AttachmentFile.disposition(name: try row.optional("name"))
        let headers = [
            ("Content-Disposition", disposition), ("X-Content-Type-Options", "nosniff"),
            ("Content-Security-Policy", "default-src 'none'; sandbox"), ("Cache-Control", "private, max-age=300"),
        ]
        let key = AttachmentFile.key(input.id, of: organisation)
        switch try AttachmentStorage.shared(context.services, url: context.setting("ATTACHMENTS_URL")) {
        case .bucket(let bucket):
            let address = bucket.readable(
                key,
                for: Self.addressHolds,
                answer: [("response-content-disposition", disposition), ("response-content-type", type)],
                at: context.now
            )
            let uncached = headers.map { $0.0 == "Cache-Control" ? ($0.0, "private, no-store") : $0 }
            return Answer(status: 302, contentType: nil, headers: uncached + [("Location", address)])
        case .folder(let folder):
            guard let file = try await folder.open(key) else {
                context.logger.error("a stored file is not in ATTACHMENTS_URL", metadata: ["key": "\(key)"])
                throw Failure.notFound("file")
            }
            return Self.answer(file, type, headers, range: context.request.header("range"))
        }
    }

    private static func answer(
        _ file: StoredFile,
        _ type: String,
        _ headers: [(name: String, value: String)],
        range: String?
    ) -> Answer {
        let part = range.flatMap { bytes($0, of: file.size) }
        let span = part ?? 0..<file.size
        var headers = headers + [("Accept-Ranges", "bytes"), ("Content-Length", "\(span.count)")]
        if part != nil {
            headers.append(("Content-Range", "bytes \(span.lowerBound)-\(span.upperBound - 1)/\(file.size)"))
        }
        return Answer(
            status: part == nil ? 200 : 206,
            contentType: type,
            headers: headers,
            stream: FilePieces(file, span)
        )
    }

    /// One range that the file has (RFC 9110, section 14); others are as good as none, which is allowed.
    static func bytes(_ range: String, of size: Int) -> Range<Int>? {
        guard range.hasPrefix("bytes="), !range.contains(",") else { return nil }
        let ends = range.dropFirst(6).split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2 else { return nil }
        if ends[0].isEmpty {
            guard let count = Int(ends[1]), count > 0, size > 0 else { return nil }
            return max(0, size - count)..<size
        }
        guard let first = Int(ends[0]), first >= 0, first < size else { return nil }
        guard !ends[1].isEmpty else { return first..<size }
        guard let last = Int(ends[1]), last >= first else { return nil }
        return first..<min(last, size - 1) + 1
    }
}

/// A part of a file, 256 KiB at a time.
private final class FilePieces: AnswerStream {
    private static let piece = 256 << 10

    private let file: StoredFile
    private let rest: Mutex<Range<Int>>

    init(_ file: StoredFile, _ span: Range<Int>) {
        self.file = file
        rest = Mutex(span)
    }

    func end() { rest.withLock { $0 = $0.upperBound..<$0.upperBound } }

    func next() async throws -> [UInt8]? {
        let next = rest.withLock { rest in
            let next = rest.prefix(Self.piece)
            rest = rest.dropFirst(Self.piece)
            return next
        }
        return next.isEmpty ? nil : try await file.read(at: next.lowerBound, count: next.count)
    }
}
