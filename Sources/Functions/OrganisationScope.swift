import Foundation
import Logging
package import Postgres
package import Queue
import Redis
import Synchronization

/// The way to the rows of one organisation: there is no other.
///
/// Every statement travels with the one that names the tenant (and, for a member's request, checks the session) in one
/// round trip and one transaction, so row-level security holds and a revoked session gets nothing.
package struct OrganisationScope: Sendable {
    package let organisation: Tenant.ID
    package let origin: Origin
    package let services: Services
    private let entry: SQL

    /// For a member or an API key: entering checks the session or the key.
    package init(_ principal: Principal, origin: Origin, services: Services) {
        organisation = principal.organisation
        self.origin = origin
        self.services = services
        entry =
            switch principal.credential {
            case .session(let session, let user):
                """
                SELECT enter_organisation(\(principal.organisation)::uuid, \(user)::uuid, \(session)::uuid, \
                \(principal.role.rawValue)::text)
                """
            case .apiKey(let key, let hash):
                """
                SELECT enter_with_api_key(\(principal.organisation)::uuid, \(key)::uuid, \(hash)::bytea, \
                \(principal.role.rawValue)::text)
                """
            }
    }

    /// For workers, and for public functions that found out which organisation they serve.
    package init(_ organisation: Tenant.ID, origin: Origin, services: Services) {
        self.organisation = organisation
        self.origin = origin
        self.services = services
        entry = Self.entry(organisation)
    }

    /// The statement that names the tenant, for workers that pipeline several organisations' groups.
    package static func entry(_ organisation: Tenant.ID) -> SQL {
        "SELECT enter_organisation(\(organisation)::uuid)"
    }

    /// Runs one statement in one round trip.
    package func query(_ statement: SQL) async throws(PostgresError) -> PostgresRows {
        let results = try await services.postgres.run([entry, statement])
        return results[1]
    }

    /// Runs statements in one round trip and one transaction; the answers in their order.
    package func run(_ statements: [SQL]) async throws(PostgresError) -> [PostgresRows] {
        let results = try await services.postgres.run([entry] + statements)
        return Array(results.dropFirst())
    }

    /// Only enters: that the session holds.
    package func verify() async throws(PostgresError) {
        _ = try await services.postgres.query(entry)
    }

    /// Runs `body` in a transaction on a connection of its own, and what it left to do afterwards once it has committed.
    package func transaction<Value: Sendable>(
        timeout: Duration? = nil,
        _ body: (Transaction) async throws -> Value
    ) async throws -> Value {
        let (value, transaction) = try await services.postgres.transaction(
            opening: [entry],
            timeout: timeout
        ) { connection in
            let transaction = Transaction(connection, scope: self)
            return (try await body(transaction), transaction)
        }
        await transaction.afterCommit()
        return value
    }
}

/// One open transaction of one organisation.
package final class Transaction: Sendable {
    package let scope: OrganisationScope
    package var organisation: Tenant.ID { scope.organisation }
    package var origin: Origin { scope.origin }

    private let connection: PostgresConnection
    private let pending = Mutex<Pending>(Pending())

    private struct Pending {
        var jobs: [(queue: String, job: NewJob)] = []
        var messages: [(channel: String, text: String)] = []
    }

    init(_ connection: PostgresConnection, scope: OrganisationScope) {
        self.connection = connection
        self.scope = scope
    }

    package func query(_ statement: SQL) async throws(PostgresError) -> PostgresRows {
        try await connection.query(statement)
    }

    /// Statements that don't depend on one another's answers, in one round trip.
    package func run(_ statements: [SQL]) async throws(PostgresError) -> [PostgresRows] {
        try await connection.run(statements)
    }

    /// `COPY … FROM STDIN`, into a temporary table: row-level security refuses it elsewhere. Returns the number of rows.
    package func copyIn<Chunks: AsyncSequence>(
        _ statement: SQL,
        _ chunks: Chunks
    ) async throws -> Int where Chunks.Element == [UInt8] {
        try await connection.copyIn(statement, chunks)
    }

    /// Adds a job once the transaction has committed.
    ///
    /// A job only names a row, and the row is the truth: when Redis is away, or we are killed right after the commit, the
    /// sweep adds it again.
    package func enqueue(_ job: NewJob, to queue: String) {
        pending.withLock { $0.jobs.append((queue, job)) }
    }

    /// The same for work that one job does, however much of it there is: a second one for that queue adds nothing.
    package func enqueueOnce(_ job: NewJob, to queue: String) {
        pending.withLock { pending in
            guard !pending.jobs.contains(where: { $0.queue == queue }) else { return }
            pending.jobs.append((queue, job))
        }
    }

    /// Tells other processes once the transaction has committed; for caches and wake-ups, which may miss it.
    package func publish(_ text: String, on channel: String) {
        pending.withLock { pending in
            // Several changes of one transaction wake once.
            guard !pending.messages.contains(where: { $0 == (channel, text) }) else { return }
            pending.messages.append((channel, text))
        }
    }

    func afterCommit() async {
        let pending = pending.withLock { $0 }
        guard !pending.jobs.isEmpty || !pending.messages.isEmpty else { return }
        let queues = Dictionary(grouping: pending.jobs, by: \.queue)
        for (queue, jobs) in queues {
            do {
                _ = try await scope.services.producer.add(jobs.map(\.job), to: queue)
            } catch {
                scope.services.logger.warning(
                    "a job was not queued; the sweep will add it",
                    metadata: ["queue": "\(queue)", "error": "\(error)"]
                )
            }
        }
        for message in pending.messages {
            _ = await scope.services.redis.pipeline([["PUBLISH", .string(message.channel), .string(message.text)]])
        }
    }
}
