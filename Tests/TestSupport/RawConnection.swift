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
    package func get(
        _ path: String,
        closing: Bool = false,
        token: String? = nil
    ) throws -> (status: Int, isOpen: Bool) {
        let authorization = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        let ending = closing ? "Connection: close\r\n" : ""
        let request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(authorization)\(ending)\r\n"
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

    /// Takes over a connection that was accepted.
    package init(descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// One message as it came: a request or an answer.
    package struct Message: Sendable {
        /// The line that it begins with.
        package let start: String
        /// `name: value`, as they came.
        package let headers: [String]
        package let body: [UInt8]

        package var text: String { String(decoding: body, as: UTF8.self) }
        package var status: Int? { start.split(separator: " ").dropFirst().first.flatMap { Int($0) } }

        /// The value of a header, by its name in any case.
        package func header(_ name: String) -> String? {
            headers.first { $0.lowercased().hasPrefix(name.lowercased() + ": ") }.map {
                String($0.dropFirst(name.count + 2))
            }
        }
    }

    /// Writes all of it.
    package func write(_ text: String) throws { try write(Array(text.utf8)) }

    package func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Failure("send: \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(count)
        }
    }

    /// Writes as much of `count` bytes as somebody takes, until nobody has taken any for a second.
    package func writeUntilBlocked(_ count: Int) -> Int {
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let block = [UInt8](repeating: 0x78, count: 1 << 16)
        var written = 0
        while written < count {
            let taken = send(descriptor, block, min(block.count, count - written), Int32(MSG_NOSIGNAL))
            guard taken > 0 else { break }
            written += taken
        }
        var none = timeval(tv_sec: 0, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &none, socklen_t(MemoryLayout<timeval>.size))
        return written
    }

    /// Says that nothing more follows, and goes on listening.
    package func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// The next message; of an answer to HEAD without its body.
    package func message(isHead: Bool = false) throws -> Message {
        let head = try readHead()
        guard !isHead else { return Message(start: head.start, headers: head.headers, body: []) }
        let lines = head.headers.map { $0.lowercased() }
        var body: [UInt8] = []
        if lines.contains("transfer-encoding: chunked") {
            while let chunk = try chunk() { body += chunk }
        } else if let length = lines.first(where: { $0.hasPrefix("content-length: ") }).flatMap({
            Int($0.dropFirst(16))
        }) {
            body = try read(length)
        }
        return Message(start: head.start, headers: head.headers, body: body)
    }

    package func readHead() throws -> (start: String, headers: [String]) {
        var end = headEnd
        while end == nil {
            try receive()
            end = headEnd
        }
        let lines = String(decoding: received[..<(end ?? 0)], as: UTF8.self).components(separatedBy: "\r\n")
        received.removeFirst((end ?? 0) + 4)
        return (lines[0], Array(lines.dropFirst()))
    }

    /// The next chunk of a body; `nil` is its end.
    package func chunk() throws -> [UInt8]? {
        while received.firstIndex(of: 0x0A) == nil { try receive() }
        let end = received.firstIndex(of: 0x0A) ?? 0
        let size = Int(String(decoding: received[..<end].dropLast(), as: UTF8.self), radix: 16)
        guard let size else { throw Failure("no size of a chunk") }
        received.removeFirst(end + 1)
        let bytes = try read(size + 2).dropLast(2)
        return size == 0 ? nil : Array(bytes)
    }

    package func read(_ count: Int) throws -> [UInt8] {
        while received.count < count { try receive() }
        defer { received.removeFirst(count) }
        return Array(received[..<count])
    }

    /// How many bytes come until the other side ends.
    package func countToEnd() -> Int {
        var count = received.count
        received = []
        while (try? receive()) != nil {
            count += received.count
            received = []
        }
        return count
    }

    private var headEnd: Int? {
        guard received.count >= 4 else { return nil }
        return (0...(received.count - 4)).first { Array(received[$0..<($0 + 4)]) == [13, 10, 13, 10] }
    }

    private func receive() throws {
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
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
    package init(port: Int, path: String, token: String? = nil, keeping: Int, renewing: Int) {
        running = keeping + renewing
        for number in 0..<running {
            Thread.detachNewThread { [self] in
                call(port: port, path: path, token: token, closing: number >= keeping)
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

    private func call(port: Int, path: String, token: String?, closing: Bool) {
        var connection: RawConnection?
        while !condition.withLock({ isStopped }) {
            do {
                let open = try connection ?? RawConnection(port: port)
                let answer = try open.get(path, closing: closing, token: token)
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
