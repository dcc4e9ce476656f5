import Foundation
import Functions

/// Files that are given to X piece by piece, as it counts them: a message can name one once all that was announced has come.
struct SimulatedUploads {
    private struct File {
        let size: Int
        let isVideo: Bool
        var received = 0
        var isWhole = false
    }

    private var files: [String: File] = [:]

    func isWhole(_ id: String) -> Bool { files[id]?.isWhole == true }

    /// Answers a call of `/2/media/upload`; `step` is what follows in its path, `id` one for a new file.
    mutating func answer(_ step: String?, _ call: SimulatedCall, _ body: JSON, id: String) -> SimulatedReply {
        switch step {
        case nil: return .json(200, ["data": ["processing_info": ["state": "succeeded", "progress_percent": 100]]])
        case "initialize"?:
            files[id] = File(
                size: body["total_bytes"]?.integer ?? 0,
                isVideo: body["media_type"]?.string?.hasPrefix("video/") == true
            )
            return Self.told(id)
        case let id?:
            guard let file = files[id] else { return Self.refused("There is no such file.") }
            if call.path.hasSuffix("/append") {
                guard let size = Self.size(ofFileIn: call.body) else { return Self.refused("The form has no media.") }
                files[id]?.received += size
                return Self.told(id)
            }
            guard file.received == file.size else {
                return Self.refused("\(file.received) of \(file.size) bytes have come.")
            }
            files[id]?.isWhole = true
            // Videos are looked at for a while.
            return file.isVideo
                ? Self.told(id, [.init("processing_info", ["state": "pending", "check_after_secs": 1])]) : Self.told(id)
        }
    }

    private static func told(_ id: String, _ more: [JSON.Member] = []) -> SimulatedReply {
        let data: [JSON.Member] = [.init("id", .string(id)), .init("media_key", .string("3_\(id)"))]
        return .json(200, ["data": .object(data + more)])
    }

    private static func refused(_ words: String) -> SimulatedReply {
        .json(400, ["title": "Invalid Request", "type": "about:blank", "status": 400, "detail": .string(words)])
    }

    /// Bytes of the part that is called `media`, the last one of a form.
    private static func size(ofFileIn form: [UInt8]) -> Int? {
        let (form, line) = (Data(form), Data("\r\n".utf8))
        guard let first = form.range(of: line), let name = form.range(of: Data(#"name="media""#.utf8)),
            let head = form.range(of: line + line, in: name.upperBound..<form.endIndex),
            let end = form.range(of: line + form[..<first.lowerBound], options: .backwards),
            head.upperBound <= end.lowerBound
        else { return nil }
        return end.lowerBound - head.upperBound
    }
}
