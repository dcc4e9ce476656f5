import Foundation
import Host

/// A host's or the gateway's end of the line to its supervisor: says when it serves, hears when it may accept and when a
/// successor would, and ends the process when the supervisor is gone.
struct SupervisorLink: Sendable {
    private let descriptor: Int32
    private let listener: Int32?

    /// - Parameter environment: holds `RUNNER_SUPERVISOR_FD` when a supervisor started this process, and `RUNNER_LISTEN_FD` when
    ///   that handed it a socket.
    init?(environment: [String: String]) {
        guard let text = environment["RUNNER_SUPERVISOR_FD"], let descriptor = Int32(text) else { return nil }
        self.descriptor = descriptor
        listener = environment["RUNNER_LISTEN_FD"].flatMap { Int32($0) }
    }

    /// Listens to the supervisor from now on.
    ///
    /// - Returns: the socket that it handed down, to be accepted on in turn; `nil` where there is none.
    func listen() -> HostOptions.Place? {
        guard let listener else {
            hear()
            return nil
        }
        let succession = Succession { tell("released") }
        hear(accept: { succession.begin() }, retire: { succession.end() })
        return .socket(listener, succession)
    }

    /// Listens on a thread of its own.
    private func hear(accept: @escaping @Sendable () -> Void = {}, retire: @escaping @Sendable () -> Void = {}) {
        let descriptor = descriptor
        Thread.detachNewThread {
            var line: [UInt8] = []
            var byte: UInt8 = 0
            while true {
                let count = read(descriptor, &byte, 1)
                if count < 0 && errno == EINTR { continue }
                // Nobody is left who would collect us: end at once, as after a crash. What was in flight is taken up again.
                if count <= 0 { _exit(1) }
                guard byte == UInt8(ascii: "\n") else {
                    line.append(byte)
                    continue
                }
                switch String(decoding: line, as: UTF8.self) {
                case "accept": accept()
                case "retire": retire()
                default: break
                }
                line = []
            }
        }
    }

    func tell(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }
}
