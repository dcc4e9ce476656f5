import Functions
import Host
import Manifest
import NIOCore
import NIOHTTP1

/// What the gateway does with a request, by its method and path: the same for every one of them, whoever asks.
struct Routing: Sendable {
    /// A function, with what the gateway keeps to on its behalf.
    struct Route: Sendable {
        let name: String
        /// Index of the upstream that hosts it.
        let upstream: Int
        /// How long it may take; `nil` is without end.
        let timeout: TimeAmount?
        let bodyLimits: BodyLimits
        let isPublic: Bool
    }

    enum Decision {
        case page(GatewayPage)
        case forward(Route)
        case refuse(Failure)
        case wrongMethod(allow: [String])
    }

    private let table: RouteTable
    private let routes: [Route]
    /// For what every host answers: the API's description and the pages that mails link to.
    private let shared: Route

    /// - Parameters:
    ///   - functions: those of the manifest; the ones that no request triggers are passed over.
    ///   - upstreams: names of functions or groups, a function's own first.
    /// - Throws: ``GatewayFault`` naming the groups that have no upstream.
    init(_ functions: [FunctionDeclaration], upstreams: [String]) throws(GatewayFault) {
        var declarations: [FunctionDeclaration] = []
        var routes: [Route] = []
        var missing: [String] = []
        for function in functions {
            guard case .http = function.trigger else { continue }
            guard let upstream = upstreams.firstIndex(of: function.name) ?? upstreams.firstIndex(of: function.group)
            else {
                if !missing.contains(function.group) { missing.append(function.group) }
                continue
            }
            declarations.append(function)
            routes.append(
                Route(
                    name: function.name,
                    upstream: upstream,
                    timeout: function.timeout.map { TimeAmount($0) },
                    bodyLimits: function.bodyLimits,
                    isPublic: function.access == .public
                )
            )
        }
        guard missing.isEmpty else { throw .noUpstream(missing) }
        guard let first = routes.first else { throw .nothingToRoute }
        table = RouteTable(declarations)
        self.routes = routes
        shared = Route(
            name: "operations",
            upstream: first.upstream,
            timeout: .seconds(10),
            bodyLimits: BodyLimits(standard: 1 << 20),
            isPublic: true
        )
    }

    func decide(_ method: HTTPMethod, path: Substring) -> Decision {
        if let page = GatewayPage(rawValue: String(path)) {
            switch method {
            case .GET, .HEAD: return .page(page)
            default: return .wrongMethod(allow: ["GET", "HEAD", "OPTIONS"])
            }
        }
        if HostPages.contain(path) { return .forward(shared) }
        switch table.serve(method: method.rawValue, path: path, isPublic: { routes[$0].isPublic }) {
        case .found(let index, _): return .forward(routes[index])
        case .wrongMethod(let allow): return .wrongMethod(allow: allow)
        case .notFound: return .refuse(.notFound("resource"))
        }
    }

    /// The path of a request's target: what stands before `?`, without the scheme and host that a caller of a proxy sends.
    static func path(of target: String) -> Substring {
        var target = target[...]
        if !target.hasPrefix("/"), let scheme = target.firstRange(of: "://") {
            target = target[scheme.upperBound...]
            target = target[(target.firstIndex { $0 == "/" || $0 == "?" } ?? target.endIndex)...]
            if !target.hasPrefix("/") { return "/" }
        }
        return target.prefix { $0 != "?" }
    }
}

/// A page of the gateway's own.
enum GatewayPage: String {
    case health = "/health"
    case ready = "/ready"
    case metrics = "/metrics"
}

/// Why the gateway can't be.
package enum GatewayFault: Error, CustomStringConvertible {
    case noUpstream([String])
    case nothingToRoute

    package var description: String {
        switch self {
        case .noUpstream(let groups):
            "no upstream is given for \(groups.joined(separator: ", ")): --upstream \(groups[0])=http://host:port"
        case .nothingToRoute: "no function is triggered by requests: there is nothing to route"
        }
    }
}
