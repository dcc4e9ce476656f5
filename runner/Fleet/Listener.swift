import Foundation

/// The socket on which one host after another accepts. The supervisor holds it, so that whoever connects between two of
/// them waits instead of being refused.
final class Listener: Sendable {
    let descriptor: Int32
    private let path: String?

    /// Listens on a unix socket that nobody but this user may connect to.
    ///
    /// - Throws: ``FleetError`` when it can't be made.
    init(path: String) throws(FleetError) {
        func fault() -> FleetError { FleetError("could not listen on \(path): \(String(cString: strerror(errno)))") }
        guard path.utf8.count <= ServerPlaces.longestSocketPath else {
            throw FleetError("the path of a socket is too long: \(path)")
        }
        let descriptor = Descriptors.high(
            socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        )
        guard descriptor >= 0 else { throw fault() }
        unlink(path)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard bound, chmod(path, 0o600) == 0, listen(descriptor, 1024) == 0 else {
            let fault = fault()
            close(descriptor)
            throw fault
        }
        self.descriptor = descriptor
        self.path = path
    }

    /// Listens on the port of the loopback address.
    ///
    /// - Throws: ``FleetError`` when somebody else does.
    init(port: Int) throws(FleetError) {
        let descriptor = Descriptors.high(
            socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        )
        guard descriptor >= 0 else {
            throw FleetError("could not make a socket: \(String(cString: strerror(errno)))")
        }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard bound, listen(descriptor, 1024) == 0 else {
            let reason = Port.user(of: port).map { "is in use by \($0)" } ?? String(cString: strerror(errno))
            close(descriptor)
            throw FleetError("port \(port) \(reason)", remedy: "stop it, or choose another: --port")
        }
        self.descriptor = descriptor
        path = nil
    }

    deinit {
        close(descriptor)
        if let path { unlink(path) }
    }
}

enum Descriptors {
    /// The same file under a number of at least 10, closed on exec; -1 when there is none.
    ///
    /// Children find theirs under 3 and 4: one that bore such a number here would be overwritten while they are put there.
    static func high(_ descriptor: Int32) -> Int32 {
        guard descriptor >= 0, descriptor < 10 else { return descriptor }
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 10)
        close(descriptor)
        return copy
    }
}
