import NIOSSL

/// Where Redis is and how long to wait for it.
package struct RedisConfiguration: Sendable {
    enum Endpoint: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    let endpoint: Endpoint
    let user: String?
    let password: String?
    let database: Int
    /// What the server has to prove that it is who the address names; `nil` without TLS.
    let tls: NIOSSLContext?

    /// What `CLIENT LIST` shows; a blocking connection shows its own name after it.
    package var clientName = "delightchat"
    /// How long an answer may take; a connection silent for so long with commands under way is given up.
    package var commandTimeout: Duration = .seconds(5)
    /// How long one attempt to connect may take, AUTH included, and how long a command waits for a connection.
    package var connectTimeout: Duration = .seconds(2)
    /// How many commands may be without an answer; one more fails at once as unavailable.
    package var maximumQueued = 100_000
    /// How many bytes of commands may be waiting to be sent; one that would exceed it fails at once as unavailable.
    package var maximumPendingBytes = 256 << 20

    /// Reads `redis://[user]:[password]@host:port/db`, the same with `rediss://`, or `unix://[user]:[password]@/path?db=N`.
    ///
    /// By `rediss://` the server's certificate must be the host's, from somebody whom the machine trusts or whom the PEM
    /// file of `?cafile=/path` names. Parts may be percent-encoded; the port defaults to 6379, the host to 127.0.0.1 and the database to 0. An IPv6
    /// address stands in brackets.
    ///
    /// - Throws: ``RedisError`` of kind `configuration`, whose message never repeats the address (it has a password).
    package init(url: String) throws(RedisError) {
        guard let separator = url.firstRange(of: "://") else {
            throw .configuration("the address must start with redis://, rediss:// or unix://")
        }
        var rest = url[separator.upperBound...]
        let parameters = try Self.parameters(Self.cut(&rest, at: "?") ?? "")
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let (authority, path) = (rest[..<slash], rest[slash...])
        (user, password) = try Self.credentials(of: authority)
        let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        var database = try parameters["db"].map { value throws(RedisError) in try Self.database(value) }
        let certificates = try parameters["cafile"].map { value throws(RedisError) in try Self.decoded(value) }

        let scheme = url[..<separator.lowerBound].lowercased()
        guard certificates == nil || scheme == "rediss" else {
            throw .configuration("cafile means something with rediss:// only")
        }
        switch scheme {
        case "redis", "rediss":
            endpoint = try Self.tcp(host)
            if path.count > 1 { database = try Self.database(path.dropFirst()) }
        case "unix":
            endpoint = try Self.unix(host: host, path: path)
        default:
            throw .configuration("the scheme \(scheme):// is not known; use redis://, rediss:// or unix://")
        }
        self.database = database ?? 0
        tls = scheme == "rediss" ? try Self.context(trusting: certificates) : nil
    }

    /// For logs: the address without its password.
    package var address: String {
        switch endpoint {
        case .tcp(let host, let port):
            "redis\(tls == nil ? "" : "s")://\(host.contains(":") ? "[\(host)]" : host):\(port)/\(database)"
        case .unix(let path): "unix://\(path)?db=\(database)"
        }
    }
}

extension RedisConfiguration {
    private static func cut(_ text: inout Substring, at mark: Character) -> Substring? {
        guard let index = text.firstIndex(of: mark) else { return nil }
        defer { text = text[..<index] }
        return text[text.index(after: index)...]
    }

    private static func credentials(of authority: Substring) throws(RedisError) -> (user: String?, password: String?) {
        guard let at = authority.lastIndex(of: "@") else { return (nil, nil) }
        var user = authority[..<at]
        guard let password = cut(&user, at: ":"), !password.isEmpty else {
            guard user.isEmpty else { throw .configuration("the address names a user but no password") }
            return (nil, nil)
        }
        return (user.isEmpty ? nil : try decoded(user), try decoded(password))
    }

    private static func tcp(_ text: Substring) throws(RedisError) -> Endpoint {
        var host = text
        var port: Substring?
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw .configuration("the IPv6 address has no closing ]") }
            host = text[text.index(after: text.startIndex)..<end]
            let tail = text[text.index(after: end)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { throw .configuration("text follows the ] of the host") }
            port = tail.isEmpty ? nil : tail.dropFirst()
        } else {
            port = cut(&host, at: ":")
        }
        guard let port, !port.isEmpty else { return .tcp(host: try hostName(host), port: 6379) }
        guard let number = Int(port), (1...65_535).contains(number) else {
            throw .configuration("the port is not a number from 1 to 65535")
        }
        return .tcp(host: try hostName(host), port: number)
    }

    private static func hostName(_ text: Substring) throws(RedisError) -> String {
        text.isEmpty ? "127.0.0.1" : try decoded(text)
    }

    private static func unix(host: Substring, path: Substring) throws(RedisError) -> Endpoint {
        guard host.isEmpty, path.count > 1 else {
            throw .configuration("a unix:// address needs an absolute path: unix:///run/redis.sock")
        }
        let path = try decoded(path)
        // sockaddr_un.sun_path is 108 bytes with its terminator.
        guard path.utf8.count <= 107 else { throw .configuration("the socket's path is longer than 107 bytes") }
        return .unix(path: path)
    }

    private static func parameters(_ query: Substring) throws(RedisError) -> [Substring: Substring] {
        var found: [Substring: Substring] = [:]
        for item in query.split(separator: "&") {
            var name = item
            guard let value = cut(&name, at: "="), ["db", "cafile"].contains(name) else {
                throw .configuration("the only parameters known are db and cafile")
            }
            found[name] = value
        }
        return found
    }

    private static func context(trusting file: String?) throws(RedisError) -> NIOSSLContext {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let file { tls.trustRoots = .file(file) }
        do {
            return try NIOSSLContext(configuration: tls)
        } catch {
            throw .configuration("the certificates of \(file ?? "this machine") can't be read: \(error)")
        }
    }

    private static func database(_ text: Substring) throws(RedisError) -> Int {
        guard let number = Int(text), number >= 0 else { throw .configuration("the database is not a number from 0") }
        return number
    }

    private static func decoded(_ text: Substring) throws(RedisError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) else {
                throw .configuration("a % in the address is not followed by two hexadecimal digits (write %25)")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw .configuration("the address is not valid UTF-8 once decoded")
        }
        return decoded
    }
}
