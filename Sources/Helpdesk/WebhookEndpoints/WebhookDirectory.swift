import Foundation
import Functions
import Postgres
import Redis
import Synchronization

/// The process's memory of which organisations have endpoints that want events, so that the others cost nothing.
///
/// Not known yet, or changed elsewhere, it says yes: a surplus job finds nothing to do, and a missing one is the sweep's.
final class WebhookDirectory: Sendable {
    /// Redis's channel on which it is told that some endpoint changed.
    static let topic = "webhook-endpoints"

    private static let freshness = Duration.seconds(30)

    private let postgres: Postgres
    private let state = Mutex(State())

    private struct State {
        var organisations: Set<Organisation.ID>?
        var until = ContinuousClock.now
        var isLooking = false
        /// Raised by every change, so that a look that began before one isn't kept.
        var changes = 0
    }

    static func shared(_ services: Services) -> WebhookDirectory {
        services.shared(WebhookDirectory.self) {
            let directory = WebhookDirectory(services.postgres)
            directory.listen(to: services.redis)
            return directory
        }
    }

    private init(_ postgres: Postgres) {
        self.postgres = postgres
    }

    /// Whether somebody may want the organisation's events. Never waits.
    func mayWant(_ organisation: Organisation.ID) -> Bool {
        let (answer, changes) = state.withLock { state -> (Bool, Int?) in
            let answer = state.organisations?.contains(organisation) ?? true
            guard state.until <= .now, !state.isLooking else { return (answer, nil) }
            state.isLooking = true
            return (answer, state.changes)
        }
        if let changes { Task { await look(changes) } }
        return answer
    }

    private func look(_ changes: Int) async {
        let rows = try? await postgres.query("SELECT org_id FROM find_webhook_organisations()")  // unknown: yes to all
        let found = try? rows.map { rows in Set(try rows.map { try $0.get("org_id", as: Organisation.ID.self) }) }
        state.withLock { state in
            state.isLooking = false
            guard state.changes == changes else { return }
            state.organisations = found
            state.until = .now + (found == nil ? .seconds(1) : Self.freshness)
        }
    }

    private func forget() {
        state.withLock { state in
            state.changes += 1
            state.organisations = nil
            state.until = .now
        }
    }

    /// Has every process look again once the transaction has committed.
    static func announceChange(in transaction: Transaction) {
        transaction.publish(transaction.organisation.description, on: topic)
        shared(transaction.scope.services).forget()
    }

    /// Lives as long as the process's Redis client, whose shutdown ends the messages.
    private func listen(to redis: Redis) {
        let messages = redis.subscribe([Self.topic])
        Task { [weak self] in
            for await message in messages {
                guard let self else { return }
                switch message {
                case .subscribed: continue
                case .message, .reconnected: forget()
                }
            }
        }
    }
}
