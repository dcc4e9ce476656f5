import Foundation
import Functions
import Postgres
import Redis
import Security
import Synchronization

/// What webhooks and workers know of a channel that isn't deleted.
struct ConnectedChannel: Sendable, Equatable {
    let id: Channel.ID
    let organisation: Organisation.ID
    let kind: Channel.Kind
    let name: String
    /// `active`, `disabled` or `error`; what may be done in which is the caller's decision.
    let status: String
    let settings: JSON
    /// Opened: never to be logged or stored.
    let credentials: JSON
}

/// The process's memory of channels by their id alone, as a webhook names them.
///
/// What it answers is at most a second old, and newer where another process's change was heard of. Callers who ask for the
/// same channel at once share one look-up. Ids that lead nowhere are remembered too, so that they cost no query each.
final class ChannelDirectory: Sendable {
    /// Redis's channel on which changed channels' ids are told.
    static let topic = "channels"

    private static let freshness = Duration.seconds(1)
    /// Enough for every busy channel; above it what is old goes, since anybody may ask for ids that don't exist.
    private static let capacity = 10_000

    // Not the Services that hold this: the two would keep each other for ever.
    private let postgres: Postgres
    private let sealed: Sealed
    private let state = Mutex<State>(State())

    private struct State {
        var entries: [Channel.ID: Entry] = [:]
    }

    private struct Entry {
        let look: Task<ConnectedChannel?, any Error>
        let until: ContinuousClock.Instant
    }

    /// The one of this process.
    static func shared(_ services: Services) -> ChannelDirectory {
        services.shared(ChannelDirectory.self) {
            let directory = ChannelDirectory(postgres: services.postgres, sealed: services.sealed)
            directory.listen(to: services.redis)
            return directory
        }
    }

    private init(postgres: Postgres, sealed: Sealed) {
        self.postgres = postgres
        self.sealed = sealed
    }

    /// The channel, or `nil` when it is unknown or deleted.
    func find(_ id: Channel.ID) async throws -> ConnectedChannel? {
        let entry = state.withLock { state in
            let now = ContinuousClock.now
            if let entry = state.entries[id], entry.until > now { return entry }
            if state.entries.count >= Self.capacity {
                state.entries = state.entries.filter { $0.value.until > now }
                if state.entries.count >= Self.capacity { state.entries.removeAll() }
            }
            // Not a child of this request: others wait for it too, and a cancelled one mustn't take it along.
            let entry = Entry(
                look: Task { [postgres, sealed] in try await Self.look(id, postgres, sealed) },
                until: now + Self.freshness
            )
            state.entries[id] = entry
            return entry
        }
        do {
            return try await entry.look.value
        } catch {
            state.withLock { state in
                if state.entries[id]?.look == entry.look { state.entries[id] = nil }
            }
            throw error
        }
    }

    /// Looks again at the next call.
    func forget(_ id: Channel.ID) {
        state.withLock { $0.entries[id] = nil }
    }

    private static func look(
        _ id: Channel.ID,
        _ postgres: Postgres,
        _ sealed: Sealed
    ) async throws -> ConnectedChannel? {
        let rows = try await postgres.query(
            """
            SELECT channel_id AS id, org_id, type, name, status, settings, credentials AS sealed_credentials
              FROM find_channel(\(id)::uuid)
            """
        )
        guard let row = rows.first else { return nil }
        let channel = try ChannelStore.Row(row, sealed)
        return ConnectedChannel(
            id: id,
            organisation: try row.get("org_id"),
            kind: channel.kind,
            name: channel.name,
            status: channel.status,
            settings: channel.settings,
            credentials: channel.credentials
        )
    }

    /// Drops what others say has changed, and all of it after a gap in which something may have been missed.
    ///
    /// Lives as long as the process's Redis client, whose shutdown ends the stream.
    private func listen(to redis: Redis) {
        let messages = redis.subscribe([Self.topic])
        Task { [weak self] in
            for await message in messages {
                guard let self else { return }
                switch message {
                case .subscribed: continue
                case .message(_, let text): if let id = Channel.ID(text) { forget(id) }
                case .reconnected: state.withLock { $0.entries.removeAll() }
                }
            }
        }
    }
}
