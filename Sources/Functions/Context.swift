package import Foundation
package import Logging
package import Postgres
import Queue

/// The request as it came, for the few functions that need more than their declared input.
package struct Request: Sendable {
    package let method: String
    package let path: String
    package let query: [(name: String, value: String)]
    /// Names in lower case.
    package let headers: [(name: String, value: String)]
    /// Empty where there is a ``stream``; then, under an Idempotency-Key, what tells one body from another.
    package let body: [UInt8]
    /// A body of one of the types that the function takes piece by piece.
    package let stream: BodyStream?
    /// The caller's address, by `TRUSTED_PROXIES` where it came through one.
    package let address: String?

    package init(
        method: String,
        path: String,
        query: [(name: String, value: String)],
        headers: [(name: String, value: String)],
        body: [UInt8],
        stream: BodyStream? = nil,
        address: String?
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.stream = stream
        self.address = address
    }

    /// The first header of that name, which is given in lower case.
    package func header(_ name: String) -> String? {
        headers.first { $0.name == name }?.value
    }

    package var userAgent: String? { header("user-agent") }
}

/// What one call of an endpoint has to work with.
package struct HTTPContext: Sendable {
    package let function: String
    package let request: Request
    package let requestId: String
    /// `nil` for public functions.
    package let principal: Principal?
    package let deadline: Date?
    package let logger: Logger
    package let services: Services
    package let claim: IdempotencyClaim?
    private let uses: Set<String>

    package init(
        function: String,
        uses: Set<String>,
        request: Request,
        requestId: String,
        principal: Principal?,
        deadline: Date?,
        logger: Logger,
        services: Services,
        claim: IdempotencyClaim?
    ) {
        self.function = function
        self.uses = uses
        self.request = request
        self.requestId = requestId
        self.principal = principal
        self.deadline = deadline
        self.logger = logger
        self.services = services
        self.claim = claim
    }

    package var now: Date { services.now() }

    /// The same call, with the right to store its answer under an Idempotency-Key.
    package func claiming(_ claim: IdempotencyClaim) -> HTTPContext {
        HTTPContext(
            function: function,
            uses: uses,
            request: request,
            requestId: requestId,
            principal: principal,
            deadline: deadline,
            logger: logger,
            services: services,
            claim: claim
        )
    }

    /// The caller's organisation; a public function has none until it opens one.
    ///
    /// - Throws: ``Failure/unauthorized(_:)`` without a principal.
    package func scope() throws(Failure) -> OrganisationScope {
        OrganisationScope(try member(), origin: origin, services: services)
    }

    /// The caller.
    ///
    /// - Throws: ``Failure/unauthorized(_:)`` for a public function without a token.
    package func member() throws(Failure) -> Principal {
        guard let principal else { throw Failure.unauthorized("A valid access token is needed.") }
        return principal
    }

    /// Opens an organisation that a public function found out (by a channel's id, an e-mail, a token's hash).
    package func opening(_ organisation: Tenant.ID, actor: Origin.Actor = .system) -> OrganisationScope {
        OrganisationScope(organisation, origin: origin(of: actor), services: services)
    }

    /// A setting that functions.yaml lets this function use.
    ///
    /// - Throws: ``UndeclaredSetting`` for another one, so that `uses` in functions.yaml tells the whole truth.
    package func setting(_ name: String) throws -> String? {
        guard uses.contains(name) else { throw UndeclaredSetting(function: function, name: name) }
        return services.settings[name]
    }

    package func query(_ statement: SQL) async throws -> PostgresRows {
        try await scope().query(statement)
    }

    package func run(_ statements: [SQL]) async throws -> [PostgresRows] {
        try await scope().run(statements)
    }

    /// Changes something and makes the answer, both in one transaction of the caller's organisation.
    ///
    /// With an Idempotency-Key the answer is stored in the same transaction: it and the change are there together or
    /// not at all.
    ///
    /// - Parameters:
    ///   - timeout: for all of it, where that is more than the short time that statements have otherwise.
    ///   - body: what is done; run once.
    /// - Returns: what the body returned, once it is committed.
    /// - Throws: what the body throws, and what the database does.
    package func transaction(
        timeout: Duration? = nil,
        _ body: (Transaction) async throws -> Answer
    ) async throws -> Answer {
        let claim = claim
        return try await scope().transaction(timeout: timeout) { transaction in
            let answer = try await body(transaction)
            try await claim?.store(answer, in: transaction)
            return answer
        }
    }

    /// A page of this function's list.
    ///
    /// - Parameters:
    ///   - limit: the caller's, 25 unless given.
    ///   - cursor: the caller's, of the page before.
    ///   - filters: what narrows and sorts the list; a cursor is good for the same ones only.
    /// - Returns: how many rows to show, and after which.
    /// - Throws: ``Failure/invalid(parameter:_:)`` for a cursor that wasn't made for this list.
    package func page(limit: Int?, cursor: String?, filters: [String?] = []) throws -> PageRequest {
        let parts = [try member().organisation.description, function, request.path] + filters.map { $0 ?? "\u{1}" }
        return try PageRequest(
            limit: limit,
            cursor: cursor,
            scope: parts.joined(separator: "\u{0}"),
            key: services.cursorKey
        )
    }

    private var origin: Origin { origin(of: principal?.actor ?? .system) }

    private func origin(of actor: Origin.Actor) -> Origin {
        Origin(actor: actor, requestId: requestId, address: request.address, userAgent: request.userAgent)
    }
}

/// What a worker or a schedule has to work with. It belongs to no organisation; ``organisation(_:trace:)`` opens one.
package struct WorkContext: Sendable {
    package let function: String
    package let deadline: Date?
    package let logger: Logger
    package let services: Services
    private let uses: Set<String>

    package init(function: String, uses: Set<String>, deadline: Date?, logger: Logger, services: Services) {
        self.function = function
        self.uses = uses
        self.deadline = deadline
        self.logger = logger
        self.services = services
    }

    package var now: Date { services.now() }

    /// The rows of one organisation, changed in the name of the system.
    ///
    /// - Parameters:
    ///   - id: the organisation, found out by a function that answers ids alone.
    ///   - trace: the request that caused the work, for audit entries and events.
    /// - Returns: the way to its rows.
    package func organisation(_ id: Tenant.ID, trace: String? = nil) -> OrganisationScope {
        OrganisationScope(id, origin: Origin(actor: .system, requestId: trace ?? ""), services: services)
    }

    /// A setting that functions.yaml lets this function use.
    package func setting(_ name: String) throws -> String? {
        guard uses.contains(name) else { throw UndeclaredSetting(function: function, name: name) }
        return services.settings[name]
    }
}

/// A function asked for a setting that functions.yaml doesn't let it use.
package struct UndeclaredSetting: Error, CustomStringConvertible {
    let function: String
    let name: String
    package var description: String { "\(function) reads \(name) without naming it in its `uses`" }
}
