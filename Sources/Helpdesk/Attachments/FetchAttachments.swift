import Connectors
import Egress
import Foundation
import Functions
import Logging
import Postgres
import Queue
import Security
import Storage

/// Fetches the files of received messages from their providers and keeps them, and deletes those whose messages were emptied.
///
/// `fetch-attachments` in functions.yaml: `queue: attachments`. A job names the organisation; which files are wanted the rows of
/// `attachments` say, which come into being with their messages. A file is checked while it comes (its size, its type, and
/// its digest where the provider told one), lies in a file without a name until it is whole, and is stored under a key that
/// follows from its row. Killed at any point, the row is still due and what was stored is overwritten or deleted.
///
/// Addresses that providers name are asked as ``Egress`` asks: never in our own network.
struct FetchAttachments: QueueFunction {
    static let queue = "attachments"

    struct Payload: Decodable, Sendable {
        let orgId: Organisation.ID
    }

    static let payload = Shape<Payload>(
        body: .json([.required("orgId", .uuid, doc: "whose files are looked at; grants nothing")])
    )

    /// For one file; shorter than ``AttachmentStore/lease``.
    private static let limit = Duration.seconds(120)

    static func job(for organisation: Organisation.ID, trace: String?) -> NewJob {
        let data: JSON = ["orgId": .string(organisation.description)]
        return NewJob(
            name: name,
            data: data.text,
            organisation: organisation.uuid,
            trace: trace.flatMap { $0.isEmpty ? nil : $0 }
        )
    }

    /// Has files looked at whose rows were committed a moment ago; `count` of each organisation.
    static func announce(_ counts: [Organisation.ID: Int], _ services: Services) async {
        // Each job works until nothing is due: a few of them share the work.
        let jobs = counts.flatMap { organisation, count in
            (0..<min(count, 4)).map { _ in job(for: organisation, trace: nil) }
        }
        guard !jobs.isEmpty else { return }
        _ = try? await services.producer.add(jobs, to: queue)  // the sweep adds what is lost
    }

    func handle(_ job: Work<Payload>, in context: WorkContext) async throws -> Outcome {
        let scope = context.organisation(job.payload.orgId, trace: job.trace)
        let store = AttachmentStore(scope.organisation)
        let storage = try AttachmentStorage.shared(context.services, url: context.setting("ATTACHMENTS_URL"))
        while true {
            guard let row = try await scope.query(store.claim).first else {
                let next = try await scope.query(store.nextDue).first?.optional("next", as: Date.self)
                // What is due later is the sweep's.
                guard let next, next.timeIntervalSince(context.now) < 30 else { return .done() }
                return .snooze(.milliseconds(max(1, Int64(next.timeIntervalSince(context.now) * 1000) + 1)))
            }
            let claimed = try ClaimedAttachment(row, context.services.sealed)
            if claimed.isErased {
                try await storage.delete(AttachmentFile.key(claimed.id, of: scope.organisation))
                _ = try await scope.query(store.forget(claimed))
            } else {
                try await fetch(claimed, store, storage, scope, context)
            }
            if let deadline = context.deadline, deadline.timeIntervalSince(context.now) < Self.limit.inSeconds + 5 {
                return .snooze(.milliseconds(1))
            }
        }
    }

    private func fetch(
        _ claimed: ClaimedAttachment,
        _ store: AttachmentStore,
        _ storage: AttachmentStorage,
        _ scope: OrganisationScope,
        _ context: WorkContext
    ) async throws {
        let key = AttachmentFile.key(claimed.id, of: scope.organisation)
        do {
            let file = try await download(claimed, context)
            do {
                try await storage.put(file.file.chunks, size: file.size, digest: file.digest, under: key)
            } catch {
                context.logger.error("a file can't be stored", metadata: ["key": "\(key)", "error": "\(error)"])
                throw AttachmentVerdict.Fault.passing("The file can't be stored at the moment.")
            }
            let stored = try await scope.run(
                store.store(claimed, file, address: try address(claimed.id, scope, context))
            )
            // Taken back or erased while it came: nobody else may know of the file.
            if stored[1].isEmpty { try await storage.delete(key) }
            await EventHub.announce([scope.organisation], context.services)
        } catch let fault as AttachmentVerdict.Fault {
            let verdict = AttachmentVerdict(
                fault,
                attempts: claimed.attempts,
                age: .seconds(max(0, context.now.timeIntervalSince(claimed.createdAt))),
                kept: MediaRequest.kept(by: claimed.channelKind),
                jitter: .random(in: 0...1)
            )
            switch verdict {
            case .again(let pause): _ = try await scope.query(store.postpone(claimed, by: pause, fault.reason))
            case .failed:
                // What an attempt that was killed may have left.
                try await storage.delete(key)
                _ = try await scope.query(store.fail(claimed, fault.reason))
            }
            context.logger.info(
                "a file was not fetched",
                metadata: ["attachment": "\(claimed.id)", "reason": "\(fault.reason)", "then": "\(verdict)"]
            )
        }
    }

    private func address(_ id: AttachmentFile.ID, _ scope: OrganisationScope, _ context: WorkContext) throws -> String {
        let url = try context.setting("PUBLIC_URL") ?? ""
        return "\(url.hasSuffix("/") ? String(url.dropLast()) : url)/orgs/\(scope.organisation)/attachments/\(id)"
    }

    // MARK: Downloading

    private func download(_ claimed: ClaimedAttachment, _ context: WorkContext) async throws -> FetchedFile {
        guard let account = claimed.account else {
            throw AttachmentVerdict.Fault.final("The channel was deleted before the file was fetched.")
        }
        let egress = try Egress.shared(context.services, allowing: context.setting("EGRESS_ALLOW"))
        let base = try context.setting("META_GRAPH_URL") ?? ""
        let version = try context.setting("META_GRAPH_VERSION") ?? ""
        let request = MediaRequest(
            kind: claimed.channelKind,
            url: claimed.url,
            media: claimed.media,
            account: account,
            graph: "\(base.hasSuffix("/") ? String(base.dropLast()) : base)/\(version)",
            now: context.now
        )
        let limit = try context.setting("ATTACHMENT_LIMIT").flatMap { Int($0) } ?? 100
        var expected = MediaRequest.digest(in: claimed.media)
        var (size, type): (Int?, String?) = (nil, claimed.mimeType)
        let address: String
        var authorisation: String?
        switch request {
        case .impossible(let reason): throw AttachmentVerdict.Fault.final(reason)
        case .file(let url, let proof): (address, authorisation) = (url, proof)
        case .lookUp(let url, let secret):
            let location = try await lookUp(url, secret, egress)
            (address, authorisation, size) = (location.address, "Bearer \(secret)", location.size)
            expected = expected ?? location.digest
            type = location.mimeType ?? type
        }
        return try await receive(
            outgoing(address, authorisation),
            Expectation(kind: claimed.type, mimeType: type, digest: expected, size: size, limit: limit << 20),
            egress
        )
    }

    private func outgoing(_ url: String, _ authorisation: String?) -> OutgoingRequest {
        // Meta's file servers answer nobody without a name.
        var headers = [("User-Agent", "DelightChat/1"), ("Accept", "*/*")]
        if let authorisation { headers.append(("Authorization", authorisation)) }
        return OutgoingRequest(method: "GET", url: url, headers: headers, body: [], timeout: Self.limit)
    }

    private func lookUp(_ url: String, _ token: String, _ egress: Egress) async throws -> MediaLocation {
        var request = outgoing(url, "Bearer \(token)")
        request.timeout = .seconds(15)
        var body: [UInt8] = []
        let answer: Download
        do {
            answer = try await egress.download(request, limit: 64 << 10, isOperators: true) { body += $0 }
        } catch {
            throw AttachmentVerdict.Fault.passing("WhatsApp can't be asked for the file: \(error)")
        }
        guard answer.status == 200 else {
            guard !MediaLocation.isGone(status: answer.status, answer.refusal) else {
                throw AttachmentVerdict.Fault.final("WhatsApp has the file no more.")
            }
            // An access token that has expired is one that a person renews.
            throw AttachmentVerdict.Fault.passing("WhatsApp answered \(answer.status) when asked for the file.")
        }
        guard let location = MediaLocation(body) else {
            throw AttachmentVerdict.Fault.passing("WhatsApp told no address of the file.")
        }
        return location
    }

    /// What a file must be.
    private struct Expectation {
        let kind: String
        let mimeType: String?
        let digest: [UInt8]?
        let size: Int?
        /// In bytes.
        let limit: Int
    }

    private func receive(
        _ request: OutgoingRequest,
        _ expected: Expectation,
        _ egress: Egress
    ) async throws -> FetchedFile {
        if let size = expected.size, size > expected.limit { throw Self.tooLarge(expected.limit) }
        let file = try SpoolFile()
        let hash = SHA256Stream()
        var size = 0
        let answer: Download
        do {
            answer = try await egress.download(request, limit: expected.limit) { piece in
                hash.update(piece)
                size += piece.count
                try await file.append(piece)
            }
        } catch let fault as EgressFault {
            switch fault {
            case .tooLarge: throw Self.tooLarge(expected.limit)
            case .refused, .invalidAddress, .tooManyRedirects:
                throw AttachmentVerdict.Fault.final("The file's address can't be asked: \(fault)")
            default: throw AttachmentVerdict.Fault.passing("The file didn't come: \(fault)")
            }
        }
        guard answer.status == 200 else {
            let text = "The file's server answered \(answer.status)."
            // An address that has expired; WhatsApp is asked for another one each time.
            let isFinal =
                [400, 401, 403, 404, 410].contains(answer.status)
                && !request.headers.contains { $0.name == "Authorization" }
            throw isFinal ? AttachmentVerdict.Fault.final(text) : .passing(text)
        }
        guard AttachmentFile.fits(answer.contentType, expected.kind) else {
            throw AttachmentVerdict.Fault.damaged(
                "What came is \(AttachmentFile.media(answer.contentType) ?? "of no known type"), not of the kind \(expected.kind)."
            )
        }
        let digest = hash.digest()
        if let wanted = expected.digest, wanted != digest {
            throw AttachmentVerdict.Fault.damaged("What came has another checksum than the provider said.")
        }
        if let wanted = expected.size, wanted != size {
            throw AttachmentVerdict.Fault.damaged("What came has \(size) bytes, not \(wanted).")
        }
        let answered = AttachmentFile.media(answer.contentType).flatMap { $0.hasSuffix("/octet-stream") ? nil : $0 }
        let type = answered ?? AttachmentFile.media(expected.mimeType) ?? "application/octet-stream"
        return FetchedFile(
            file: file,
            size: size,
            digest: digest,
            mimeType: String(type.prefix(255)),
            contentType: AttachmentFile.safeType(type)
        )
    }

    private static func tooLarge(_ limit: Int) -> AttachmentVerdict.Fault {
        .final("The file is larger than \(limit >> 20) MiB.")
    }
}
