import Connectors
import Egress
import Foundation
import Functions

/// Gets the file of an attachment that is to be sent, for a provider that takes files and no addresses.
///
/// The address is an organisation's word, so it is asked as ``Egress`` asks. What comes lies in a file without a name while it is
/// given on.
struct OutgoingMedia: Sendable {
    private let egress: Egress

    init(_ context: WorkContext) throws {
        egress = try Egress.shared(context.services, allowing: context.setting("EGRESS_ALLOW"))
    }

    enum Outcome: Sendable {
        case file(OutgoingFile)
        case refused(SendResult)
    }

    /// Gets it, in so much time; `limit` says how many bytes a file of a content type may have, `nil` for a type that isn't taken.
    func fetch(_ attachment: Attachment, patience: Duration, limit: (String) -> Int?) async -> Outcome {
        func final(_ words: String) -> Outcome { .refused(.message(SendFault("media", words))) }
        func passing(_ words: String) -> Outcome { .refused(.retry(after: nil, SendFault("media", words))) }
        guard let url = attachment.url else { return final("The attachment has no address.") }
        let request = OutgoingRequest(
            method: "GET",
            url: url,
            headers: [("User-Agent", "DelightChat/1"), ("Accept", "*/*")],
            body: [],
            timeout: patience
        )
        do {
            let spool = try SpoolFile()
            var size = 0
            // Of what type it is shows when it is here; nothing is larger than the largest.
            let answer = try await egress.download(request, limit: 50 << 20) { piece in
                size += piece.count
                try await spool.append(piece)
            }
            guard answer.status == 200 else {
                let words = "The file's server answered \(answer.status)."
                return answer.status < 500 && answer.status != 429 ? final(words) : passing(words)
            }
            let told = AttachmentFile.media(answer.contentType).flatMap { $0.hasSuffix("/octet-stream") ? nil : $0 }
            let type = told ?? AttachmentFile.media(attachment.mimeType) ?? "application/octet-stream"
            guard let most = limit(type) else { return final("The channel takes no \(type).") }
            guard size <= most else {
                return final("The file has \(size) bytes, and the channel takes \(most) of \(type) at most.")
            }
            guard size > 0 else { return final("The file is empty.") }
            return .file(
                OutgoingFile(type: type, size: size) {
                    AsyncThrowingStream { stream in
                        let reading = Task {
                            do {
                                for try await block in spool.chunks { stream.yield(block) }
                                stream.finish()
                            } catch {
                                stream.finish(throwing: error)
                            }
                        }
                        stream.onTermination = { _ in reading.cancel() }
                    }
                }
            )
        } catch let fault as EgressFault {
            switch fault {
            case .tooLarge: return final("The file is larger than 50 MiB.")
            case .refused, .invalidAddress, .tooManyRedirects:
                return final("The file's address can't be asked: \(fault)")
            default: return passing("The file didn't come: \(fault)")
            }
        } catch {
            return passing("The file can't be had at the moment.")
        }
    }
}
