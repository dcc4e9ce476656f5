import Foundation
package import Functions
package import Logging
import Manifest
import Postgres
import Queue

/// One call of a function without a server or a queue, for `runner invoke`.
package struct Invocation: Sendable {
    private let pair: RegistryCheck.Pair
    private let services: Services
    private let logger: Logger

    package init(pair: RegistryCheck.Pair, services: Services, logger: Logger) {
        self.pair = pair
        self.services = services
        self.logger = logger
    }

    /// Calls an endpoint and prints its status and body.
    ///
    /// - Parameters:
    ///   - email: the user to be; needed unless the function is public.
    ///   - path: the path's parameters but orgId, which is the user's.
    ///   - query: the query's parameters.
    ///   - body: JSON text.
    /// - Returns: whether it answered 2xx.
    /// - Throws: ``InvocationError`` without a user where one is needed.
    package func request(
        as email: String?,
        path: [(name: String, value: String)],
        query: [(name: String, value: String)],
        body: String?
    ) async throws -> Bool {
        guard case .http(let endpoint) = pair.hosted, case .http(let trigger) = pair.declaration.trigger else {
            return false
        }
        var parameters = Dictionary(path.map { ($0.name, $0.value) }, uniquingKeysWith: { _, last in last })
        let principal = pair.declaration.access == .public ? nil : try await session(of: email)
        if let principal { parameters["orgId"] = principal.organisation.description }
        let requestId = RequestReader.requestId(nil)
        var answer: Answer
        do {
            if let principal, pair.declaration.access == .admin, principal.role != .admin {
                throw Failure.forbidden("Only an admin may do this.")
            }
            let bytes = Array((body ?? "").utf8)
            var json: JSON?
            if case .json(_, let needed) = endpoint.input.body {
                json = try RequestReader.json(bytes, type: "application/json", needed: needed)
            }
            let context = HTTPContext(
                function: pair.declaration.name,
                uses: Set(pair.declaration.uses),
                request: Functions.Request(
                    method: trigger.method.rawValue,
                    path: trigger.path.description,
                    query: query,
                    headers: [],
                    body: bytes,
                    address: nil
                ),
                requestId: requestId,
                principal: principal,
                deadline: nil,
                logger: logger,
                services: services,
                claim: nil
            )
            answer = try await endpoint.call(context, parameters, json)
        } catch {
            let failure = Problem.failure(for: error)
            if Problem.isOurs(failure) { logger.error("the function failed", metadata: ["error": "\(error)"]) }
            answer = Problem.answer(failure, path: trigger.path.description, requestId: requestId)
        }
        if let principal { try await end(principal) }
        print(answer.status)
        if !answer.body.isEmpty { print(String(decoding: answer.body, as: UTF8.self)) }
        return (200..<300).contains(answer.status)
    }

    /// Runs a worker on one job that no queue holds.
    ///
    /// - Returns: whether its outcome is `done`.
    package func job(_ data: String) async throws -> Bool {
        guard case .queue(let worker) = pair.hosted, case .queue(let trigger) = pair.declaration.trigger else {
            return false
        }
        let now = Int64(services.now().timeIntervalSince1970 * 1000)
        let job = Job(id: "invoked", queue: trigger.queue, name: pair.declaration.name, data: data, timestamp: now)
        let outcomes = try await worker.call([job], context)
        for outcome in outcomes { print(outcome) }
        return outcomes.allSatisfy { if case .done = $0 { true } else { false } }
    }

    /// Runs a schedule once, now.
    package func schedule() async throws -> Bool {
        guard case .schedule(let run) = pair.hosted else { return false }
        try await run(context)
        print("done")
        return true
    }

    private var context: WorkContext {
        WorkContext(
            function: pair.declaration.name,
            uses: Set(pair.declaration.uses),
            deadline: nil,
            logger: logger,
            services: services
        )
    }

    /// A session of its own for the call, so that what it does is checked and recorded like any other.
    private func session(of email: String?) async throws -> Principal {
        guard let email else { throw InvocationError("--as EMAIL is needed: \(pair.declaration.name) is not public") }
        let rows = try await services.postgres.query("SELECT org_id, user_id, role, status FROM find_login(\(email))")
        guard let row = rows.first, try row.get("status", as: String.self) == "active",
            let role = Principal.Role(rawValue: try row.get("role", as: String.self))
        else { throw InvocationError("there is no active user with the e-mail address \(email)") }
        let session = Identifier<Principal>().uuid
        let principal = Principal(
            user: try row.get("user_id"),
            organisation: try row.get("org_id"),
            role: role,
            session: session
        )
        _ = try await services.postgres.run([
            OrganisationScope.entry(principal.organisation),
            """
            INSERT INTO sessions (org_id, id, user_id, expires_at)
            VALUES (\(principal.organisation), \(session), \(try principal.user), now() + interval '5 minutes')
            """,
        ])
        return principal
    }

    private func end(_ principal: Principal) async throws {
        guard case .session(let session, _) = principal.credential else { return }
        _ = try await services.postgres.run([
            OrganisationScope.entry(principal.organisation),
            "DELETE FROM sessions WHERE org_id = \(principal.organisation) AND id = \(session)",
        ])
    }
}

/// A call that can't be made, in words for the terminal.
package struct InvocationError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}
