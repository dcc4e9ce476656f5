import Host
import NIOHTTP1

/// What of a message's headers goes on to the next hop, and what is added.
enum ForwardedHeaders {
    /// Whose the connection is that a request came by.
    struct Caller: Sendable {
        let address: String
        /// Whether what it says of the hops before it is believed.
        let isTrusted: Bool
    }

    /// The headers of a request as an upstream gets it.
    ///
    /// What is about one connection stays on it (RFC 9110, section 7.6.1). The caller's address is added to `X-Forwarded-For`;
    /// `X-Forwarded-Proto` and `X-Forwarded-Host` say how the outermost trusted hop was reached. `framing` is how long the
    /// body is.
    static func request(
        _ given: HTTPHeaders,
        caller: Caller,
        requestId: String,
        isChunked: Bool
    ) -> HTTPHeaders {
        let named = connectionNames(given)
        var headers = HTTPHeaders()
        headers.reserveCapacity(given.count + 6)
        var (forwardedFor, proto, host, ownHost) = ("", nil as String?, nil as String?, nil as String?)
        for (name, value) in given {
            switch name.utf8.count {
            case 2, 7, 10, 16, 17, 18, 19:
                if isAboutConnection(name) { continue }
            default: break
            }
            switch name.utf8.count {
            case 4 where name.isSame("host"): ownHost = value
            case 12 where name.isSame("x-request-id"): continue
            case 14 where isChunked && name.isSame("content-length"): continue
            case 15 where name.isSame("x-forwarded-for"):
                forwardedFor += forwardedFor.isEmpty ? value : ", \(value)"
                continue
            case 16 where name.isSame("x-forwarded-host"):
                if caller.isTrusted { host = value }
                continue
            case 17 where name.isSame("x-forwarded-proto"):
                if caller.isTrusted { proto = value }
                continue
            default: break
            }
            if !named.isEmpty, named.contains(name.lowercased()), !keeps(name) { continue }
            headers.add(name: name, value: value)
        }
        if isChunked { headers.add(name: "Transfer-Encoding", value: "chunked") }
        headers.add(name: "X-Request-Id", value: requestId)
        let chain = forwardedFor.isEmpty ? caller.address : "\(forwardedFor), \(caller.address)"
        headers.add(name: "X-Forwarded-For", value: chain)
        headers.add(name: "X-Forwarded-Proto", value: proto ?? "http")
        if let host = host ?? ownHost { headers.add(name: "X-Forwarded-Host", value: host) }
        return headers
    }

    /// The headers of an answer as the caller gets it, without how long the body is where that isn't known in advance.
    static func answer(_ given: HTTPHeaders) -> HTTPHeaders {
        let named = connectionNames(given)
        var headers = HTTPHeaders()
        headers.reserveCapacity(given.count + 2)
        for (name, value) in given {
            if isAboutConnection(name) { continue }
            if !named.isEmpty, named.contains(name.lowercased()), !keeps(name) { continue }
            headers.add(name: name, value: value)
        }
        return headers
    }

    /// What `Connection` names, in lower case; `close` and `keep-alive` name no header.
    private static func connectionNames(_ headers: HTTPHeaders) -> Set<String> {
        var names: Set<String> = []
        for (name, value) in headers where name.utf8.count == 10 && name.isSame("connection") {
            if value.isSame("keep-alive") || value.isSame("close") { continue }
            for part in value.split(separator: ",") {
                names.insert(part.lowercased().filter { $0 != " " && $0 != "\t" })
            }
        }
        return names
    }

    /// What decides where a message ends or whom it is for can't be taken away by a caller.
    private static func keeps(_ name: String) -> Bool {
        ["content-length", "host", "authorization"].contains { name.isSame($0) }
    }

    private static func isAboutConnection(_ name: String) -> Bool {
        switch name.utf8.count {
        case 2: name.isSame("te")
        case 7: name.isSame("upgrade") || name.isSame("trailer")
        case 10: name.isSame("connection") || name.isSame("keep-alive")
        case 16: name.isSame("proxy-connection")
        case 17: name.isSame("transfer-encoding")
        case 18: name.isSame("proxy-authenticate")
        case 19: name.isSame("proxy-authorization")
        default: false
        }
    }
}

extension String {
    /// Whether it is `other`, which is in lower case, but for the case of ASCII letters.
    fileprivate func isSame(_ other: StaticString) -> Bool {
        guard utf8.count == other.utf8CodeUnitCount else { return false }
        var expected = other.utf8Start
        for byte in utf8 {
            let lower = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
            guard lower == expected.pointee else { return false }
            expected += 1
        }
        return true
    }
}
