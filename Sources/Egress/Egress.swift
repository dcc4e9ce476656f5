import AsyncHTTPClient
import Foundation
package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// One request to somewhere that we were told of.
package struct OutgoingRequest: Sendable {
    package var method: String
    package var url: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    package var timeout: Duration

    package init(
        method: String,
        url: String,
        headers: [(name: String, value: String)],
        body: [UInt8],
        timeout: Duration
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }
}

package struct OutgoingAnswer: Sendable {
    package let status: Int
    /// The first 4 KiB.
    package let body: [UInt8]
}

/// How a download ended.
package struct Download: Sendable {
    package let status: Int
    package let contentType: String?
    /// Of an answer other than 200, whose body isn't handed on: its first 4 KiB.
    package let refusal: [UInt8]
}

/// Whom a URL names.
struct EgressTarget {
    /// A name or an address, the latter without brackets.
    let host: String

    init?(_ text: String) {
        guard let url = URL(string: text), let scheme = url.scheme?.lowercased(), ["http", "https"].contains(scheme),
            let host = url.host, !host.isEmpty, url.user == nil
        else { return nil }
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
    }
}

/// Sends requests to addresses that callers gave, and never to our own network.
///
/// A name is resolved once, each of its addresses is checked, and the connection goes to a checked one: a name that points
/// elsewhere a moment later gains nothing. Redirects are not followed.
package final class Egress: Sendable {
    private let policy: EgressPolicy
    private let logger: Logger
    /// One for each name and address: the client keeps its connections, and TLS still asks for the name.
    private let clients = Mutex<[(key: String, client: HTTPClient)]>([])

    private static let capacity = 64

    package init(_ policy: EgressPolicy, logger: Logger) {
        self.policy = policy
        self.logger = logger
    }

    package func send(_ request: OutgoingRequest) async throws(EgressFault) -> OutgoingAnswer {
        guard let target = EgressTarget(request.url) else { throw .invalidAddress(request.url) }
        let address = try await check(target.host)
        let client = self.client(for: target.host, at: address)
        do {
            var outgoing = HTTPClientRequest(url: request.url)
            outgoing.method = HTTPMethod(rawValue: request.method)
            for header in request.headers { outgoing.headers.add(name: header.name, value: header.value) }
            if !request.body.isEmpty { outgoing.body = .bytes(request.body) }
            let milliseconds = Int64(request.timeout / .milliseconds(1))
            let answer = try await client.execute(outgoing, timeout: .milliseconds(milliseconds), logger: logger)
            var body: [UInt8] = []
            for try await chunk in answer.body {
                body.append(contentsOf: chunk.readableBytesView)
                if body.count >= 4096 { break }
            }
            return OutgoingAnswer(status: Int(answer.status.code), body: Array(body.prefix(4096)))
        } catch let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout {
            throw .timeout
        } catch {
            throw .unreachable(String(describing: error))
        }
    }

    /// Gets a file and hands it on piece by piece while it comes.
    ///
    /// Follows up to three redirects, each checked as the first address was. What proves who we are goes to the first host
    /// alone, and from https nothing leads to http.
    ///
    /// - Parameters:
    ///   - request: its time holds for all of it.
    ///   - limit: in bytes.
    ///   - isOperators: whether the address is the operator's own word, which may name our network; where it leads to is not.
    ///   - consume: gets the pieces of an answer with status 200.
    /// - Returns: the last answer's status and type.
    /// - Throws: ``EgressFault``, or what `consume` throws.
    package func download(
        _ request: OutgoingRequest,
        limit: Int,
        isOperators: Bool = false,
        _ consume: ([UInt8]) async throws -> Void
    ) async throws -> Download {
        let end = ContinuousClock.now + request.timeout
        var request = request
        for hop in 0...3 {
            guard let url = URL(string: request.url), let target = EgressTarget(request.url) else {
                throw EgressFault.invalidAddress(request.url)
            }
            request.timeout = end - .now
            let address = try await check(target.host, isOperators: isOperators && hop == 0)
            let answer = try await begin(request, at: address, of: target.host)
            guard [301, 302, 303, 307, 308].contains(answer.status.code),
                let location = answer.headers.first(name: "location")
            else { return try await receive(answer, until: end, limit: limit, consume) }
            guard let next = URL(string: location, relativeTo: url)?.absoluteURL, let scheme = next.scheme,
                scheme == "https" || url.scheme == "http"
            else { throw EgressFault.invalidAddress(location) }
            if next.host != url.host || next.port != url.port || scheme != url.scheme {
                request.headers.removeAll { $0.name.lowercased() == "authorization" }
            }
            request.url = next.absoluteString
        }
        throw EgressFault.tooManyRedirects(request.url)
    }

    private func begin(
        _ request: OutgoingRequest,
        at address: IPAddress,
        of host: String
    ) async throws(EgressFault) -> HTTPClientResponse {
        do {
            var outgoing = HTTPClientRequest(url: request.url)
            outgoing.method = HTTPMethod(rawValue: request.method)
            for header in request.headers { outgoing.headers.add(name: header.name, value: header.value) }
            let milliseconds = max(1, Int64(request.timeout / .milliseconds(1)))
            return try await client(for: host, at: address)
                .execute(outgoing, timeout: .milliseconds(milliseconds), logger: logger)
        } catch let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout {
            throw .timeout
        } catch {
            throw .unreachable(String(describing: error))
        }
    }

    private func receive(
        _ answer: HTTPClientResponse,
        until end: ContinuousClock.Instant,
        limit: Int,
        _ consume: ([UInt8]) async throws -> Void
    ) async throws -> Download {
        let type = answer.headers.first(name: "content-type")
        let isFile = answer.status == .ok
        // Told beforehand, it needn't come to be refused.
        if isFile, let length = answer.headers.first(name: "content-length").flatMap({ Int($0) }), length > limit {
            throw EgressFault.tooLarge(limit)
        }
        var refusal: [UInt8] = []
        var count = 0
        var pieces = answer.body.makeAsyncIterator()
        while true {
            let piece: ByteBuffer?
            do {
                piece = try await pieces.next()
            } catch {
                throw EgressFault.unreachable(String(describing: error))
            }
            guard let piece else { break }
            guard ContinuousClock.now < end else { throw EgressFault.timeout }
            count += piece.readableBytes
            if isFile {
                guard count <= limit else { throw EgressFault.tooLarge(limit) }
                try await consume(Array(piece.readableBytesView))
            } else {
                refusal.append(contentsOf: piece.readableBytesView)
                if refusal.count >= 4096 { break }
            }
        }
        return Download(status: Int(answer.status.code), contentType: type, refusal: Array(refusal.prefix(4096)))
    }

    /// The address to connect to.
    private func check(_ name: String, isOperators: Bool = false) async throws(EgressFault) -> IPAddress {
        let addresses: [IPAddress]
        if let address = IPAddress(name) {
            addresses = [address]
        } else {
            do {
                // The C library's look-up blocks: a thread of its own.
                addresses = try await NIOThreadPool.singleton.runIfActive { Self.resolve(name) }
            } catch {
                throw .unknownHost(name)
            }
        }
        guard let first = addresses.first else { throw .unknownHost(name) }
        // One that is ours among others that aren't is a trick, not a mistake.
        guard isOperators || addresses.allSatisfy(policy.allows) else { throw .refused(name) }
        return first
    }

    private static func resolve(_ name: String) -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let info = next?.pointee {
            next = info.ai_next
            guard let address = info.ai_addr else { continue }
            switch info.ai_family {
            case AF_INET:
                address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
                    addresses.append(IPAddress(bytes: withUnsafeBytes(of: address.pointee.sin_addr) { Array($0) }))
                }
            case AF_INET6:
                address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                    addresses.append(IPAddress(bytes: withUnsafeBytes(of: address.pointee.sin6_addr) { Array($0) }))
                }
            default: continue
            }
        }
        return addresses
    }

    private func client(for name: String, at address: IPAddress) -> HTTPClient {
        let key = "\(name) \(address)"
        let (client, surplus) = clients.withLock { clients -> (HTTPClient, HTTPClient?) in
            if let index = clients.firstIndex(where: { $0.key == key }) {
                let entry = clients.remove(at: index)
                clients.append(entry)
                return (entry.client, nil)
            }
            var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
            configuration.dnsOverride = [name: address.description]
            configuration.timeout.connect = .seconds(10)
            configuration.timeout.read = .seconds(30)
            let client = HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup, configuration: configuration)
            clients.append((key, client))
            return (client, clients.count > Self.capacity ? clients.removeFirst().client : nil)
        }
        // Its requests at work end with an error and are tried again.
        if let surplus { Task { try? await surplus.shutdown() } }
        return client
    }

    deinit {
        // A client must be shut down before it goes; it is kept until it is.
        for (_, client) in clients.withLock({ $0 }) { client.shutdown { _ in } }
    }
}
