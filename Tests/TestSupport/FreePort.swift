import Foundation

package enum FreePort {
    private static let given = GivenPorts()

    /// A loopback port that nobody listens on at this moment, and that this process hasn't been given before.
    ///
    /// It lies below the range out of which the kernel serves outgoing connections (32768 upwards): a server that is away
    /// for a while finds its port free when it comes back.
    package static func find() throws -> Int {
        for _ in 0..<1000 {
            let port = Int.random(in: 10_000..<32_000)
            if given.take(port), isFree(port) { return port }
        }
        throw POSIXError(.EADDRINUSE)
    }

    /// Whether somebody listens there.
    package static func isTaken(_ port: Int) -> Bool {
        withSocket(port) { descriptor, address, size in connect(descriptor, address, size) == 0 }
    }

    private static func isFree(_ port: Int) -> Bool {
        withSocket(port) { descriptor, address, size in bind(descriptor, address, size) == 0 }
    }

    private static func withSocket(
        _ port: Int,
        _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Bool
    ) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                body(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// Two that look for a port at the same time must not find the same.
private final class GivenPorts: @unchecked Sendable {
    // The lock guards the set.
    private let lock = NSLock()
    private var ports: Set<Int> = []

    func take(_ port: Int) -> Bool { lock.withLock { ports.insert(port).inserted } }
}
