import Foundation
import Synchronization

/// A named pipe in `.runner/run` by which commands in other terminals tell the supervisor what to do, a line each.
final class ControlPipe: Sendable {
    private let path: String
    private let descriptor: Int32
    private let isOver = Atomic(false)

    /// Calls `line` for each line that comes, on a thread of its own.
    init(_ state: StateFolder, line: @escaping @Sendable (String) -> Void) throws(FleetError) {
        path = state.control
        unlink(path)
        guard mkfifo(path, 0o600) == 0 else {
            throw FleetError("could not make \(path): \(String(cString: strerror(errno)))")
        }
        // For writing, too: so it never ends while nobody else has it open.
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw FleetError("could not open \(path): \(String(cString: strerror(errno)))") }
        Thread.detachNewThread { [self] in
            var text: [UInt8] = []
            var bytes = [UInt8](repeating: 0, count: 1024)
            while true {
                let count = read(descriptor, &bytes, bytes.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0, !isOver.load(ordering: .relaxed) else { break }
                text += bytes.prefix(count)
                while let end = text.firstIndex(of: UInt8(ascii: "\n")) {
                    line(String(decoding: text[..<end], as: UTF8.self))
                    text.removeSubrange(...end)
                }
            }
            close(descriptor)
        }
    }

    func stop() {
        isOver.store(true, ordering: .relaxed)
        unlink(path)
        // Wakes the thread.
        _ = Foundation.write(descriptor, "\n", 1)
    }

    /// Tells the supervisor of a checkout a line; false when none listens.
    static func tell(_ line: String, _ state: StateFolder) -> Bool {
        let descriptor = open(state.control, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Array("\(line)\n".utf8)
        // As short as it is, it is written as a whole.
        return Foundation.write(descriptor, bytes, bytes.count) == bytes.count
    }
}
