import Foundation
import Functions
import HTTPTypes
import Hummingbird
import Logging
package import Manifest
import NIOCore
import Postgres
import Security

/// What Hummingbird hands over per request: where it came from.
struct HostRequestContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let address: String?
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        address = source.channel.remoteAddress?.ipAddress
        channel = source.channel
    }
}

/// Answers every request: finds the function, checks in the contract's order, calls it, turns faults into problems.
struct Responder: HTTPResponder {
    typealias Context = HostRequestContext

    /// An endpoint with what functions.yaml says of it.
    struct Route: Sendable {
        let declaration: FunctionDeclaration
        let endpoint: HostedEndpoint
        let uses: Set<String>
        /// The names of the path's parameters that are ids.
        let ids: [String]
        /// `nil` where as many may run at once as come.
        let limit: ConcurrencyLimit?

        func call(_ context: HTTPContext, _ parameters: [String: String], _ json: JSON?) async throws -> Answer {
            guard let limit else { return try await endpoint.call(context, parameters, json) }
            return try await limit.run { try await endpoint.call(context, parameters, json) }
        }
    }

    /// What came as a body, as far as it could be read.
    struct ReadBody: Sendable {
        var bytes: [UInt8] = []
        var json: JSON?
        var stream: BodyStream?
        /// What is wrong with it; told where the function would be called, so that it is told again under its key.
        var fault: Failure?
    }

    /// A request whose caller may call the function.
    private struct Call: Sendable {
        let route: Route
        let parameters: [String: String]
        let body: ReadBody

        func answer(_ context: HTTPContext) async throws -> Answer {
            if let fault = body.fault { throw fault }
            return try await route.call(context, parameters, body.json)
        }
    }

    let table: RouteTable
    /// By the index that ``table`` answers.
    let routes: [Route]
    let services: Services
    let operations: Operations
    let callers: CallerAddress
    let crossOrigin: CrossOrigin
    let metrics: Metrics
    let deadlines: Deadlines
    let inFlight: InFlight
    let logger: Logger
    let isDraining: @Sendable () -> Bool

    func respond(to request: Hummingbird.Request, context: HostRequestContext) async throws -> Hummingbird.Response {
        let began = ContinuousClock.now
        let requestId = RequestReader.requestId(request.headers[.xRequestId])
        let path = request.uri.path
        let address = callers.find(peer: context.address, forwarded: request.headers[values: .xForwardedFor])
        var function = "-"
        var answer: Answer
        do {
            answer = try await self.answer(
                request,
                path: path,
                address: address,
                requestId: requestId,
                function: &function
            )
        } catch {
            let failure = Problem.failure(for: error)
            if Problem.isOurs(failure) {
                logger.error(
                    "a function failed",
                    metadata: ["function": "\(function)", "request_id": "\(requestId)", "error": "\(error)"]
                )
            }
            answer = Problem.answer(failure, path: path, requestId: requestId)
        }
        answer.headers += crossOrigin.headers(request)
        let seconds = began.duration(to: .now).seconds
        metrics.request(function, status: answer.status, seconds: seconds)
        logger.info(
            "\(request.method.rawValue) \(path) \(answer.status)",
            metadata: [
                "function": "\(function)", "request_id": "\(requestId)",
                "milliseconds": "\((seconds * 10_000).rounded() / 10)",
            ]
        )
        if let stream = answer.stream {
            let head = response(answer, requestId: requestId, isHead: true)
            guard request.method != .head else {
                stream.end()
                return head
            }
            let limit = routes.first { $0.declaration.name == function }?.declaration.idleTimeout ?? .seconds(60)
            let sending = StreamSending(stream: stream, channel: context.channel, deadlines: deadlines, limit: limit)
            var headers = head.headers
            // Known only to the function: an empty answer has been given the length of nothing.
            headers[.contentLength] = answer.headers.last { $0.name == "Content-Length" }?.value
            return Response(status: head.status, headers: headers, body: sending.body)
        }
        return response(answer, requestId: requestId, isHead: request.method == .head)
    }

    private func answer(
        _ request: Hummingbird.Request,
        path: String,
        address: String?,
        requestId: String,
        function: inout String
    ) async throws -> Answer {
        if let answer = try await operations.answer(request, path: path, address: address, requestId: requestId) {
            function = "operations"
            return answer
        }
        let method = request.method == .head ? "GET" : request.method.rawValue
        let route: Route
        var parameters: [String: String]
        switch table.serve(method: method, path: path, isPublic: { routes[$0].declaration.access == .public }) {
        case .notFound: throw Failure.notFound("resource")
        case .wrongMethod(let allowed):
            let allow = ("Allow", allowed.joined(separator: ", "))
            if request.method == .options { return Answer(status: 204, contentType: nil, headers: [allow]) }
            let failure = Failure(status: 405, detail: "\(method) is not allowed here.")
            var answer = Problem.answer(failure, path: path, requestId: requestId)
            answer.headers.append(allow)
            return answer
        case .found(let index, let found):
            route = routes[index]
            parameters = Dictionary(found.map { ($0, $1) }, uniquingKeysWith: { first, _ in first })
            // A malformed id names nothing, like one that was never given out, and is told at the same point.
            for id in route.ids where parameters[id].flatMap(UUID.init(uuidString:)) == nil {
                parameters[id] = Identifier<Never>().description
            }
        }
        function = route.declaration.name
        let flight = inFlight.begin(function, requestId)
        defer { inFlight.end(flight) }
        let principal = try authenticate(request, route)
        do {
            try authorise(principal, route.declaration, parameters)
            let type = request.headers[.contentType]
            let limit = route.declaration.bodyLimits.limit(for: type)
            let read = try await body(request, route.endpoint.input, type: type, limit: limit)
            var (bytes, stream) = (read.bytes, read.stream)
            if let given = stream, request.headers[.idempotencyKey] != nil {
                (stream, bytes) = try await RequestReader.spool(given)
            }
            let context = HTTPContext(
                function: function,
                uses: route.uses,
                request: Functions.Request(
                    method: method,
                    path: path,
                    query: RequestReader.query(request.uri.query),
                    headers: request.headers.map { ($0.name.canonicalName, $0.value) },
                    body: bytes,
                    stream: stream,
                    address: address
                ),
                requestId: requestId,
                principal: principal,
                deadline: route.declaration.timeout.map { services.now().addingTimeInterval($0.seconds) },
                logger: logger,
                services: services,
                claim: nil
            )
            return try await run(Call(route: route, parameters: parameters, body: read), context)
        } catch let failure as Failure where failure.status < 500 && failure.status != 401 {
            // The contract puts 401 before everything that is said about the request; a function's own statement checks
            // the session, but what fails before it has run must not tell a revoked session more than that.
            if let principal { try await verify(principal, requestId: requestId) }
            throw failure
        }
    }

    private func verify(_ principal: Principal, requestId: String) async throws {
        let origin = Origin(actor: principal.actor, requestId: requestId)
        do {
            try await OrganisationScope(principal, origin: origin, services: services).verify()
        } catch  where error.sqlState == "DC401" {
            throw error
        } catch {
            // Without the database the failure at hand is still the better answer.
        }
    }

    /// Runs the function, once per Idempotency-Key; what is about sessions takes none.
    private func run(_ call: Call, _ context: HTTPContext) async throws -> Answer {
        let limit = call.route.declaration.timeout
        guard context.request.method == "POST", let principal = context.principal,
            !context.request.path.hasPrefix("/auth/"), let key = context.request.header("idempotency-key")
        else {
            return try await deadlines.run(limit) { try await call.answer(context) }
        }
        guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw Failure.invalid([.init(.header("Idempotency-Key"), "must have 1 to 255 printable ASCII characters")])
        }
        let scope = try context.scope()
        let identity = [context.request.method, context.request.path, key]
        let patience = (limit ?? .seconds(60)).seconds
        for attempt in 0... {
            let state = try await IdempotencyClaim.take(
                scope,
                principal: principal.id,
                key: identity,
                body: context.request.body,
                patience: patience
            )
            switch state {
            case .otherRequest:
                throw Failure.invalid([.init(.header("Idempotency-Key"), "was used with another body")])
            case .answered(var answer):
                answer.headers.append(("Idempotency-Replayed", "true"))
                return answer
            case .erased:
                throw Failure.conflict("What was answered under this Idempotency-Key has been erased.")
            case .running where attempt < 20:
                try await Task.sleep(for: .milliseconds(100))
            case .running:
                throw Failure(status: 409, detail: "A request with this Idempotency-Key is running.", retryAfter: 1)
            case .claimed(let claim):
                return try await run(call, context.claiming(claim), claim: claim, limit: limit)
            }
        }
        throw Failure.conflict("A request with this Idempotency-Key is running.")
    }

    private func run(
        _ call: Call,
        _ context: HTTPContext,
        claim: IdempotencyClaim,
        limit: Duration?
    ) async throws -> Answer {
        let scope = try context.scope()
        do {
            let answer = try await deadlines.run(limit) { try await call.answer(context) }
            // Where the function's transaction stored the answer, this finds nothing to do.
            try await claim.store(answer, in: scope)
            return answer
        } catch let failure as Failure where (400..<500).contains(failure.status) {
            // A conflict that says when to come again will pass, so it isn't the answer for good.
            if ![401, 403, 429].contains(failure.status), failure.retryAfter == nil {
                let problem = Problem.answer(failure, path: context.request.path, requestId: context.requestId)
                try? await claim.store(problem, in: scope)  // unstored, a retry runs again and fails again
            } else {
                try? await claim.release(in: scope)  // unreleased, it is taken over after its time
            }
            throw failure
        } catch {
            // The change is undone unless the connection was lost at its commit: then the answer is there or isn't, and
            // the release below, which spares stored answers, keeps to that.
            try? await claim.release(in: scope)  // unreleased, it is taken over after its time
            throw error
        }
    }

    private func authenticate(
        _ request: Hummingbird.Request,
        _ route: Route
    ) throws(Failure) -> Principal? {
        guard route.declaration.access != .public else { return nil }
        let given: Substring
        if let header = request.headers[.authorization] {
            guard header.count > 7, header.prefix(7).lowercased() == "bearer " else { throw Self.lacksToken }
            given = header.dropFirst(7)
        } else if case .events = route.endpoint.output,
            let parameter = RequestReader.query(request.uri.query).last(where: { $0.name == "access_token" })
        {
            given = parameter.value[...]
        } else {
            throw Self.lacksToken
        }
        if given.hasPrefix(APIKeyToken.mark) {
            guard let key = APIKeyToken(given) else { throw Failure.unauthorized("The API key is not valid.") }
            return Principal(key)
        }
        do {
            let token = try services.tokens.verify(given, now: services.now())
            guard let role = Principal.Role(rawValue: token.role) else {
                throw Failure.unauthorized("The access token is not valid.")
            }
            return Principal(
                user: token.sub,
                organisation: Tenant.ID(token.org),
                role: role,
                session: token.sid,
                expiresAt: Date(timeIntervalSince1970: Double(token.exp))
            )
        } catch JWTError.expired {
            throw Failure.unauthorized("The access token has expired. Refresh it.")
        } catch {
            throw Failure.unauthorized("The access token is not valid.")
        }
    }

    private static let lacksToken = Failure.unauthorized(
        "An access token or API key is needed: Authorization: Bearer …"
    )

    private func authorise(
        _ principal: Principal?,
        _ declaration: FunctionDeclaration,
        _ parameters: [String: String]
    ) throws(Failure) {
        guard let principal else { return }
        if let org = parameters["orgId"], Tenant.ID(org) != principal.organisation {
            throw Failure.forbidden("The access token is not for this organisation.")
        }
        if declaration.access == .admin, principal.role != .admin {
            throw Failure.forbidden("Only an admin may do this.")
        }
    }

    private func body(
        _ request: Hummingbird.Request,
        _ input: InputDeclaration,
        type: String?,
        limit: Int
    ) async throws -> ReadBody {
        if !input.streams.isEmpty, let media = RequestReader.mediaType(type), input.streams.contains(media) {
            return ReadBody(stream: try RequestReader.stream(request, limit: limit))
        }
        switch input.body {
        case .none:
            // What an endpoint without a body is sent is ignored, but read within the limit, so that the connection can
            // be used again.
            _ = try? await RequestReader.body(request, limit: limit)  // too long: the connection closes, no harm done
            return ReadBody()
        case .raw:
            return ReadBody(bytes: try await RequestReader.body(request, limit: limit))
        case .json(_, let needed):
            let bytes: [UInt8]
            do {
                bytes = try await RequestReader.body(request, limit: limit)
            } catch let failure as Failure where failure.status == 413 {
                return ReadBody(bytes: Array("too large".utf8), fault: failure)
            }
            do {
                let json = try RequestReader.json(bytes, type: type, needed: needed, others: input.streams)
                return ReadBody(bytes: bytes, json: json)
            } catch {
                return ReadBody(bytes: bytes, fault: error)
            }
        }
    }

    private func response(_ answer: Answer, requestId: String, isHead: Bool) -> Hummingbird.Response {
        var headers = HTTPFields()
        if let type = answer.contentType { headers[.contentType] = type }
        headers[.xRequestId] = requestId
        for header in answer.headers {
            guard let name = HTTPField.Name(header.name) else { continue }
            headers.append(HTTPField(name: name, value: header.value))
        }
        if isDraining() { headers[.connection] = "close" }
        if ![204, 304].contains(answer.status), answer.stream == nil {
            headers[.contentLength] = String(answer.body.count)
        }
        let status = HTTPResponse.Status(code: answer.status)
        guard !isHead, !answer.body.isEmpty else { return Response(status: status, headers: headers) }
        return Response(
            status: status,
            headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body))
        )
    }
}

extension HTTPField.Name {
    static let xRequestId = constant("X-Request-Id")
    static let xForwardedFor = constant("X-Forwarded-For")
    static let idempotencyKey = constant("Idempotency-Key")

    private static func constant(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is a valid header name") }
        return name
    }
}

extension RouteTable {
    /// The function for a request: a path with malformed ids is known by what surrounds them, but for an organisation's and
    /// where nobody has to log in.
    package func serve(method: String, path: some StringProtocol, isPublic: (Int) -> Bool) -> RouteMatch {
        let match = match(method: method, path: path)
        guard match == .notFound else { return match }
        let loose = matchLoosely(method: method, path: path)
        guard case .found(let index, let found) = loose else { return loose }
        let isOurs = found["orgId"].map { UUID(uuidString: $0) != nil } ?? true
        return isOurs && !isPublic(index) ? loose : .notFound
    }
}

extension Duration {
    package var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
