import Foundation
import Synchronization

/// Keeps the answers that the suites get in the file that `TEST_ANSWERS` names, one a line, for `runner/test` to hold them
/// against the OpenAPI document.
final class AnswerRecord: Sendable {
    static let shared = AnswerRecord(ProcessInfo.processInfo.environment["TEST_ANSWERS"])

    private let file: Mutex<FileHandle?>

    private init(_ path: String?) {
        guard let path, !path.isEmpty else {
            file = Mutex(nil)
            return
        }
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        file = Mutex(FileHandle(forWritingAtPath: path))
    }

    func keep(_ method: String, _ path: String, status: Int, type: String?, body: Data) {
        file.withLock { file in
            guard let file else { return }
            let line: [String: Any] = [
                "method": method, "path": path, "status": status, "type": type ?? "",
                "body": String(decoding: body, as: UTF8.self),
            ]
            // A line that can't be written is missing there and counts nowhere.
            guard let json = try? JSONSerialization.data(withJSONObject: line) else { return }
            try? file.write(contentsOf: json + Data("\n".utf8))
        }
    }
}
