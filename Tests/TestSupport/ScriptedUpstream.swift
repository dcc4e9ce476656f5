import Foundation

/// A process behind the gateway that does with each connection what a test says.
package final class ScriptedUpstream: @unchecked Sendable {
    package let path: String
    private let descriptor: Int32
    // The lock guards the members below.
    private let lock = NSLock()
    private var accepted = 0
    private var received: [RawConnection.Message] = []

    package static func freePath() -> String { "/tmp/delightchat-upstream-\(UUID().uuidString.prefix(8)).sock" }

    /// Runs `script` on a thread of its own for each connection, which is closed at its end.
    package init(
        path: String = ScriptedUpstream.freePath(),
        _ script: @escaping @Sendable (RawConnection, ScriptedUpstream) throws -> Void
    ) {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        listen(descriptor, 128)
        Thread.detachNewThread { [self, descriptor] in
            while true {
                let peer = accept(descriptor, nil, nil)
                guard peer >= 0 else { return }
                lock.withLock { accepted += 1 }
                // The end of a script by an error is the end of its connection, too.
                Thread.detachNewThread { [self] in try? script(RawConnection(descriptor: peer), self) }
            }
        }
    }

    /// Answers every request with 200 and `text`.
    package convenience init(path: String = ScriptedUpstream.freePath(), answering text: String) {
        self.init(path: path) { peer, upstream in
            while true {
                upstream.note(try peer.message())
                try peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
            }
        }
    }

    package func stop() {
        unlink(path)
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    package func note(_ message: RawConnection.Message) { lock.withLock { received.append(message) } }

    package var connections: Int { lock.withLock { accepted } }
    package var requests: [RawConnection.Message] { lock.withLock { received } }
}
