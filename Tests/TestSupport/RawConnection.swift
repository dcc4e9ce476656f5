import Foundation

/// A connection of its own that asks one thing after another and hides nothing: no second try, no other connection.
///
/// It blocks, so it belongs on a thread.
package final class RawConnection {
    private let descriptor: Int32
    private var received: [UInt8] = []

    /// - Throws: the system's error when nobody accepts.
    package init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard connected else { throw Failure("connect: \(String(cString: strerror(errno)))") }
    }

    deinit { close(descriptor) }

    /// Asks by GET.
    ///
    /// - Returns: the status, and whether the connection may be used again.
    package func get(_ path: String, closing: Bool = false) throws -> (status: Int, isOpen: Bool) {
        let request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(closing ? "Connection: close\r\n" : "")\r\n"
        guard send(descriptor, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count else {
            throw Failure("send: \(String(cString: strerror(errno)))")
        }
        var end = headEnd
        while end == nil {
            try receive()
            end = headEnd
        }
        let head = String(decoding: received[..<(end ?? 0)], as: UTF8.self)
        let lines = head.lowercased().components(separatedBy: "\r\n")
        let length = lines.first { $0.hasPrefix("content-length: ") }.flatMap { Int($0.dropFirst(16)) } ?? 0
        let whole = (end ?? 0) + 4 + length
        while received.count < whole { try receive() }
        received.removeFirst(whole)
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw Failure("no status: \(head)")
        }
        return (status, !closing && !lines.contains("connection: close"))
    }

    private var headEnd: Int? {
        guard received.count >= 4 else { return nil }
        return (0...(received.count - 4)).first { Array(received[$0..<($0 + 4)]) == [13, 10, 13, 10] }
    }

    private func receive() throws {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { throw Failure(count == 0 ? "closed" : "recv: \(String(cString: strerror(errno)))") }
        received += bytes.prefix(count)
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
        init(_ description: String) { self.description = description }
    }
}

/// Threads that ask without a pause until they are stopped, and what went wrong.
package final class SteadyCallers: @unchecked Sendable {
    // The condition guards the members.
    private let condition = NSCondition()
    private var isStopped = false
    private var running = 0
    private var answers = 0
    private var failures: [String] = []

    /// Starts them: `keeping` keep their connection for as long as they may, `renewing` make a new one each time.
    package init(port: Int, path: String, keeping: Int, renewing: Int) {
        running = keeping + renewing
        for number in 0..<running {
            Thread.detachNewThread { [self] in
                call(port: port, path: path, closing: number >= keeping)
            }
        }
    }

    /// Stops them; returns how many answers they had and every failure.
    package func stop() async throws -> (answers: Int, failures: [String]) {
        halt()
        _ = try await eventually { condition.withLock { running } == 0 ? true : nil }
        return condition.withLock { (answers, failures) }
    }

    /// Stops them without waiting.
    package func halt() { condition.withLock { isStopped = true } }

    package var count: Int { condition.withLock { answers } }

    private func call(port: Int, path: String, closing: Bool) {
        var connection: RawConnection?
        while !condition.withLock({ isStopped }) {
            do {
                let open = try connection ?? RawConnection(port: port)
                let answer = try open.get(path, closing: closing)
                connection = answer.isOpen ? open : nil
                condition.withLock {
                    answers += 1
                    if answer.status != 200 { failures.append("status \(answer.status)") }
                }
            } catch {
                connection = nil
                condition.withLock { failures.append("\(closing ? "new" : "kept"): \(error)") }
            }
            usleep(1000)
        }
        condition.withLock { running -= 1 }
    }
}
