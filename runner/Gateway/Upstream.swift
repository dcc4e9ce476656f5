import Foundation
import NIOCore
import Synchronization

/// Where a process listens that requests are handed on to.
package enum UpstreamAddress: Sendable, Equatable, CustomStringConvertible {
    case socket(String)
    case host(String, port: Int)

    /// Reads `unix:/a/path` and `http://host:port`; `nil` when it is neither.
    package init?(_ text: String) {
        if text.hasPrefix("unix:/") {
            var path = text.dropFirst(5)
            while path.hasPrefix("//") { path = path.dropFirst() }
            self = .socket(String(path))
            return
        }
        guard let url = URLComponents(string: text), url.scheme == "http", let host = url.host, !host.isEmpty,
            url.path.isEmpty || url.path == "/", url.query == nil, url.user == nil
        else { return nil }
        self = .host(host.trimmingCharacters(in: ["[", "]"]), port: url.port ?? 80)
    }

    package var description: String {
        switch self {
        case .socket(let path): "unix:\(path)"
        case .host(let host, let port): "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        }
    }
}

/// One of the processes behind the gateway, and whether it can be reached.
final class Upstream: Sendable {
    let name: String
    let address: UpstreamAddress
    private let circuit: Mutex<Circuit>

    init(name: String, address: UpstreamAddress, patience: TimeAmount) {
        self.name = name
        self.address = address
        circuit = Mutex(Circuit(patience: patience))
    }

    var isOpen: Bool { circuit.withLock { $0.isOpen } }

    func admits(at now: NIODeadline) -> Bool { circuit.withLock { $0.admits(at: now) } }
    func succeeded() { circuit.withLock { $0.succeeded() } }
    func failed(at now: NIODeadline) { circuit.withLock { $0.failed(at: now) } }
}
