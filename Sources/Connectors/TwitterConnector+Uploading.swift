import Egress
import Foundation

/// `/2/media/upload` of X's API: a file is given to X piece by piece, and the message names its id.
extension TwitterConnector {
    /// How much of a file goes with one call; X takes 5 MB.
    private static let segment = 2 << 20

    package func needsUpload(_ message: OutboundMessage) -> Bool { !message.attachments.isEmpty }

    package func uploadLimit(of type: String) -> Int? { Self.category(of: type)?.limit }

    /// What X calls a file of this content type, and how many bytes it may have; `nil` for one that direct messages don't take. X
    /// would take 512 MB of a video: what is sent while an agent waits is held to what is uploaded within a minute.
    private static func category(of type: String) -> (name: String, limit: Int)? {
        switch type {
        case "image/jpeg", "image/png", "image/webp": ("dm_image", 5 << 20)
        case "image/gif": ("dm_gif", 15 << 20)
        case "video/mp4", "video/quicktime": ("dm_video", 50 << 20)
        default: nil
        }
    }

    package func upload(
        _ file: OutgoingFile,
        through account: ChannelAccount,
        at providers: Providers,
        until deadline: Date
    ) async -> UploadResult {
        guard let category = Self.category(of: file.type) else {
            return .refused(.message(SendFault("media_type", "X takes no \(file.type) in direct messages.")))
        }
        let api = Upload(account: account, providers: providers, base: "\(providers.x)/2/media/upload")
        do {
            let begun = try await api.call(
                "POST",
                "/initialize",
                body: [
                    "media_type": .string(file.type), "total_bytes": .integer(Int64(file.size)),
                    "media_category": .string(category.name),
                ]
            )
            guard let id = begun["data"]?["id"]?.id else { throw Upload.unreadable }
            var (index, piece): (Int, [UInt8]) = (0, [])
            for try await block in file.blocks {
                piece += block
                guard piece.count >= Self.segment else { continue }
                try await api.append(piece, index, to: id)
                (index, piece) = (index + 1, [])
            }
            if !piece.isEmpty { try await api.append(piece, index, to: id) }
            var state = try await api.call("POST", "/\(id.percentEncoded)/finalize")["data"]?["processing_info"]
            // Videos are looked at for a while.
            while let info = state, info["state"]?.string != "succeeded" {
                if info["state"]?.string == "failed" {
                    let words = info["error"]?["message"]?.string ?? "X can't use the file."
                    return .refused(.message(SendFault("media_failed", words.asExplanation)))
                }
                let pause = TimeInterval(min(max(info["check_after_secs"]?.integer ?? 1, 1), 10))
                guard providers.now().addingTimeInterval(pause) < deadline else {
                    return .refused(.retry(after: nil, SendFault("media_pending", "X is still looking at the file.")))
                }
                try await Task.sleep(for: .seconds(pause))
                state = try await api.call("GET", "", query: [("command", "STATUS"), ("media_id", id)])["data"]?[
                    "processing_info"
                ]
            }
            return .uploaded(id)
        } catch let stop as Upload.Stop {
            return .refused(stop.result)
        } catch {
            return .refused(.retry(after: nil, SendFault("media_unread", "The file can't be read at the moment.")))
        }
    }

    /// The calls of one upload. None of them sends anything to anybody: what has no answer is begun again.
    private struct Upload {
        struct Stop: Error {
            let result: SendResult
        }

        static let unreadable = Stop(
            result: .retry(after: nil, SendFault("unreadable_answer", "X took the file without telling its id."))
        )

        let account: ChannelAccount
        let providers: Providers
        let base: String

        func call(
            _ method: String,
            _ path: String,
            query: [(name: String, value: String)] = [],
            body: JSONValue? = nil
        ) async throws -> JSONValue {
            let header = TwitterConnector.authorisation(
                account,
                method,
                base + path,
                parameters: query,
                now: providers.now()
            )
            let text = query.map { "\($0.name)=\($0.value.percentEncoded)" }.joined(separator: "&")
            return try await answered { () async throws(CallFault) -> ProviderAnswer in
                try await providers.call(
                    method,
                    base + path + (text.isEmpty ? "" : "?" + text),
                    headers: [header],
                    body: body
                )
            }
        }

        func append(_ piece: [UInt8], _ index: Int, to id: String) async throws {
            let url = "\(base)/\(id.percentEncoded)/append"
            let header = TwitterConnector.authorisation(account, "POST", url, now: providers.now())
            _ = try await answered { () async throws(CallFault) -> ProviderAnswer in
                try await providers.post(
                    piece,
                    named: "media",
                    beside: [("segment_index", "\(index)")],
                    to: url,
                    headers: [header]
                )
            }
        }

        private func answered(_ call: () async throws(CallFault) -> ProviderAnswer) async throws -> JSONValue {
            let answer: ProviderAnswer
            do {
                answer = try await call()
            } catch {
                throw Stop(result: .retry(after: nil, SendFault("upload_failed", error.description)))
            }
            if (200..<300).contains(answer.status) { return answer.json ?? .null }
            let refusal = TwitterConnector.refusal(answer, attempt: 1, now: providers.now())
            switch refusal {
            case .unanswered(let fault): throw Stop(result: .retry(after: nil, fault))
            // It is about the file: nobody was named yet.
            case .recipient(let fault): throw Stop(result: .message(fault))
            default: throw Stop(result: refusal)
            }
        }
    }
}
