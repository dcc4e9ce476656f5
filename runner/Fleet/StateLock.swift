package import Foundation

/// The lock that lets one supervisor at a time use a state folder. The kernel frees it when the process dies.
package final class StateLock: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        // A child between its fork and its exec still has the descriptor: closing ours alone would not free the lock yet.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// Who holds the lock.
    package struct Holder: Sendable, Equatable, CustomStringConvertible {
        package let pid: pid_t
        package let since: Date
        package let port: Int

        package init(pid: pid_t, since: Date, port: Int) {
            self.pid = pid
            self.since = since
            self.port = port
        }

        package var description: String {
            let format = DateFormatter()
            format.locale = Locale(identifier: "en_US_POSIX")
            format.dateFormat = "yyyy-MM-dd HH:mm:ss"
            return "pid \(pid), since \(format.string(from: since)), port \(port)"
        }

        var text: String { "\(pid) \(Int64(since.timeIntervalSince1970)) \(port)\n" }

        init?(text: String) {
            let parts = text.split(whereSeparator: \.isWhitespace)
            guard parts.count == 3, let pid = pid_t(parts[0]), let since = Int64(parts[1]), let port = Int(parts[2])
            else { return nil }
            self.init(pid: pid, since: Date(timeIntervalSince1970: TimeInterval(since)), port: port)
        }
    }

    package enum Outcome: Sendable {
        case taken(StateLock)
        /// Somebody else has it; who is unknown in the instant between taking the lock and writing the name.
        case held(by: Holder?)
    }

    /// Takes the lock for this process, or says who has it. Does not wait.
    package static func take(_ path: String, port: Int) throws(FleetError) -> Outcome {
        // Closed on exec: a child that kept it open would hold the lock past our death.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw FleetError("could not open \(path): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = read(descriptor)
            close(descriptor)
            return .held(by: holder)
        }
        let text = Holder(pid: getpid(), since: Date(), port: port).text
        ftruncate(descriptor, 0)
        pwrite(descriptor, text, text.utf8.count, 0)
        return .taken(StateLock(descriptor: descriptor))
    }

    /// Who holds the lock now, without trying to keep it; `nil` when nobody does.
    package static func holder(_ path: String) -> Holder? {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0 else { return nil }
        return read(descriptor)
    }

    private static func read(_ descriptor: Int32) -> Holder? {
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        return Holder(text: String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self))
    }
}
