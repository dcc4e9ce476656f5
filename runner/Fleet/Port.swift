import Foundation

/// Who listens on a TCP port of this machine.
package enum Port {
    /// What has the port, as `pid 4711 (node)` or `another process`; `nil` when it can be listened on.
    package static func user(of port: Int) -> String? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        // As servers do; without it, connections that are closing would count as a listener.
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        let failure = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 ? 0 : errno
            }
        }
        switch failure {
        case 0: return nil
        case EACCES: return "nobody, but only root may listen on it"
        default: return listener(on: port) ?? "another process"
        }
    }

    /// Finds the socket in /proc/net and then the process that has it open; only root sees those of other users.
    private static func listener(on port: Int) -> String? {
        let inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { file in
            // A machine without IPv6 has no second file.
            Self.inodes(in: (try? String(contentsOfFile: file, encoding: .utf8)) ?? "", listeningOn: port)
        }
        let targets = Set(inodes.map { "socket:[\($0)]" })
        guard !targets.isEmpty else { return nil }
        let files = FileManager.default
        for name in (try? files.contentsOfDirectory(atPath: "/proc")) ?? [] where Int(name) != nil {
            // Processes end while they are listed, and those of other users are closed to us.
            for descriptor in (try? files.contentsOfDirectory(atPath: "/proc/\(name)/fd")) ?? [] {
                let link = try? files.destinationOfSymbolicLink(atPath: "/proc/\(name)/fd/\(descriptor)")
                guard let link, targets.contains(link) else { continue }
                let command = (try? String(contentsOfFile: "/proc/\(name)/comm", encoding: .utf8)) ?? ""
                return "pid \(name) (\(command.trimmingCharacters(in: .whitespacesAndNewlines)))"
            }
        }
        return nil
    }

    /// The inodes of the sockets in state LISTEN (0A) on the port, from the text of /proc/net/tcp.
    static func inodes(in table: String, listeningOn port: Int) -> [Substring] {
        let hexadecimal = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: 4 - hexadecimal.count) + hexadecimal
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[1].hasSuffix(suffix), fields[3] == "0A" else { return nil }
            return fields[9]
        }
    }
}
