import Functions
import Synchronization

/// The document's bytes: made when somebody first asks, then kept.
final class ServedDocument: Sendable {
    private let make: @Sendable () -> OpenAPIDocument
    private let bytes = Mutex<[UInt8]?>(nil)

    init(_ make: @escaping @Sendable () -> OpenAPIDocument) {
        self.make = make
    }

    var answer: Answer {
        let body = bytes.withLock { bytes in
            if let bytes { return bytes }
            let made = Array(make().json.text.utf8)
            bytes = made
            return made
        }
        return Answer(status: 200, body: body, headers: [("Cache-Control", "no-cache")])
    }
}
