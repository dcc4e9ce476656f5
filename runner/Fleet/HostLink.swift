import Foundation
import Synchronization

/// The supervisor's end of the socket pair through which it and the host know of each other.
///
/// The host finds its end as descriptor 3, named by `RUNNER_SUPERVISOR_FD=3`. It writes the line `ready` when it serves. It
/// reads: `accept` says that it is its turn, `retire` that its successor's would be, which it answers with `released` once it
/// accepts nothing more. When the read ends, the supervisor is gone and it exits.
final class HostLink: Sendable {
    /// The end to give to the host; closed here by ``release()`` as soon as the host has it.
    let hostEnd: Int32
    /// `nil` once the host is gone and the number may be another's.
    private let ourEnd: Mutex<Int32?>

    init() throws(FleetError) {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw FleetError("could not make a socket pair: \(String(cString: strerror(errno)))")
        }
        ourEnd = Mutex(ends[0])
        hostEnd = Descriptors.high(ends[1])
    }

    /// Closes the host's end here, so that its death is seen as the end of the stream.
    func release() {
        close(hostEnd)
    }

    /// Calls `line` for every line that the host writes, on a thread of its own, until the host is gone; then closes.
    func read(_ line: @escaping @Sendable (String) -> Void) {
        Thread.detachNewThread { [self] in
            guard let descriptor = ourEnd.withLock({ $0 }) else { return }
            var text: [UInt8] = []
            var bytes = [UInt8](repeating: 0, count: 1024)
            while true {
                let count = Foundation.read(descriptor, &bytes, bytes.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { break }
                text += bytes.prefix(count)
                while let end = text.firstIndex(of: UInt8(ascii: "\n")) {
                    line(String(decoding: text[..<end], as: UTF8.self))
                    text.removeSubrange(...end)
                }
            }
            ourEnd.withLock { end in
                close(descriptor)
                end = nil
            }
        }
    }

    /// Sends the host a line, unless it is gone.
    func send(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        ourEnd.withLock { end in
            guard let end else { return }
            // A few bytes always fit; a host that has just gone needs none.
            _ = Foundation.send(end, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }
    }
}
