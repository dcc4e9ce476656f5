import Fleet
import Foundation

/// A folder under /tmp (sockets need short paths) that goes with its last reference.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = "/tmp/fleet-tests-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit {
        // Left behind in the worst case; the next run takes another name.
        try? FileManager.default.removeItem(atPath: path)
    }

    func write(_ text: String, to name: String) throws -> String {
        let file = "\(path)/\(name)"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return file
    }
}

/// The permission bits of a file.
func mode(of path: String) -> mode_t {
    var facts = stat()
    return stat(path, &facts) == 0 ? facts.st_mode & 0o777 : 0
}

/// Waits until the claim holds, at most a minute.
func eventually(_ claim: () async -> Bool) async -> Bool {
    for _ in 0..<6000 {
        if await claim() { return true }
        // Cancelled: the claim is tried without a pause, some thousand times.
        try? await Task.sleep(for: .milliseconds(10))
    }
    return false
}

/// A port on which nothing listens, below those that the kernel gives to outgoing connections.
func freePort() -> Int {
    var port = Int.random(in: 20_000..<32_000)
    while Port.user(of: port) != nil { port = Int.random(in: 20_000..<32_000) }
    return port
}
