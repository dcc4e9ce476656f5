import Foundation
import Functions
import Logging
import Postgres
import Storage
import Synchronization

/// Hands out the file of something that was received.
///
/// `get-attachment` in functions.yaml: `GET /orgs/:orgId/attachments/:id`, both roles. From a folder it is streamed, a part of it where the
/// caller asks for a range of the file that it knows by its `ETag`, and nothing to a caller who has it; from a bucket the
/// answer is 302 to an address that holds for five minutes, where ranges are the store's. Either way browsers are told to
/// keep it as a file and not to guess its type; types that could run are served as mere bytes.
///
/// - Throws: ``Failure/notFound(_:)`` when the attachment is absent, taken back or another organisation's, or can't be had any more;
///   ``Failure/conflict(_:)`` while it is still being fetched; 416 when the file ends before the range.
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
            let tag = "\"\(try row.get("digest", as: String.self))\""
            return try Self.answer(
                file,
                type,
                headers + [("ETag", tag), ("Accept-Ranges", "bytes")],
                tag: tag,
                context.request
            )
        }
    }

    private static func answer(
        _ file: StoredFile,
        _ type: String,
        _ headers: [(name: String, value: String)],
        tag: String,
        _ request: Request
    ) throws(Failure) -> Answer {
        if let known = request.header("if-none-match"), isNamed(tag, in: known) {
            return Answer(status: 304, contentType: nil, headers: headers)
        }
        // A part of another file than the one that the caller has a part of is of no use.
        let isSame = request.header("if-range").map { $0 == tag } ?? true
        func answer(_ status: Int, _ span: Range<Int>, _ more: [(name: String, value: String)] = []) -> Answer {
            Answer(
                status: status,
                contentType: type,
                headers: headers + more + [("Content-Length", "\(span.count)")],
                stream: FilePieces(file, span)
            )
        }
        switch FileSpan(isSame ? request.header("range") : nil, of: file.size) {
        case .whole: return answer(200, 0..<file.size)
        case .part(let span):
            let range = "bytes \(span.lowerBound)-\(span.upperBound - 1)/\(file.size)"
            return answer(206, span, [("Content-Range", range)])
        case .beyond:
            throw Failure(
                status: 416,
                detail: "The file has \(file.size) bytes.",
                headers: ["Content-Range": "bytes */\(file.size)", "Accept-Ranges": "bytes"]
            )
        }
    }

    /// Whether an `If-None-Match` names what we have; a weak tag is compared as a strong one (RFC 9110, section 13.1.2).
    private static func isNamed(_ tag: String, in known: String) -> Bool {
        known.split(separator: ",").contains { given in
            let name = given.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" }
            return name == "*" || (name.hasPrefix("W/") ? name.dropFirst(2) : name) == tag
        }
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
