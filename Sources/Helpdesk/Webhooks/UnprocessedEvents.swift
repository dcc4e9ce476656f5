import Connectors
package import Foundation
package import Functions
import Postgres
import Queue

/// What webhooks told and nobody could understand or store, kept for 30 days: listed and played again by whoever runs the installation.
package struct UnprocessedEvents: Sendable {
    package struct Event: Sendable {
        package let organisation: Tenant.ID
        package let id: UUID
        package let channel: UUID?
        package let queue: String
        package let job: String
        package let reason: String
        package let createdAt: Date
        package let replayedAt: Date?
        let data: String
    }

    /// What became of playing one again.
    package enum Outcome: String, Sendable, CaseIterable {
        /// It is on its way through the queues as if it had just come.
        case queued
        /// It can be read no better than before; it stays as it is.
        case unreadable
        /// Its channel is gone or disabled; it stays as it is.
        case channelGone
        /// Somebody else has played it again meanwhile, or it has been erased.
        case gone
    }

    private static let page = 500

    private let services: Services

    package init(_ services: Services) {
        self.services = services
    }

    /// The oldest first, a page at a time until `body` has seen all.
    package func each(
        of channel: UUID?,
        since: Date?,
        withReplayed: Bool = false,
        _ body: (Event) async throws -> Void
    ) async throws {
        var after: (at: Date?, id: UUID?) = (nil, nil)
        while true {
            let found = try await services.postgres.query(
                """
                SELECT org_id, event_id, created_at
                  FROM find_unprocessed_events(
                           \(channel)::uuid, \(since)::timestamptz, \(withReplayed)::boolean, \(after.at)::timestamptz,
                           \(after.id)::uuid, \(Self.page)::integer
                       )
                """
            )
            for row in found {
                let (organisation, id) = (
                    try row.get("org_id", as: Tenant.ID.self), try row.get("event_id", as: UUID.self)
                )
                after = (try row.get("created_at"), id)
                if let event = try await find(id, of: organisation) { try await body(event) }
            }
            if found.count < Self.page { return }
        }
    }

    private func scope(_ organisation: Tenant.ID) -> OrganisationScope {
        OrganisationScope(organisation, origin: Origin(actor: .system, requestId: "replay"), services: services)
    }

    private func find(_ id: UUID, of organisation: Tenant.ID) async throws -> Event? {
        let rows = try await scope(organisation).query(
            """
            SELECT channel_id, queue, job_name, data, reason, created_at, replayed_at
              FROM unprocessed_events
             WHERE org_id = \(organisation) AND id = \(id)
            """
        )
        guard let row = rows.first else { return nil }
        return Event(
            organisation: organisation,
            id: id,
            channel: try row.optional("channel_id"),
            queue: try row.get("queue"),
            job: try row.get("job_name"),
            reason: try row.get("reason"),
            createdAt: try row.get("created_at"),
            replayedAt: try row.optional("replayed_at"),
            data: try row.get("data")
        )
    }

    /// Plays one again through the way that it came by, or as a trial tells what would become of it and does nothing. What it leads to
    /// that is there already changes nothing.
    ///
    /// - Throws: what the database or the queue does; the event is then as it was, or was queued and will be again, which
    ///   does no harm.
    package func replay(_ event: Event, isTrial: Bool = false) async throws -> Outcome {
        let jobs: [(queue: String, job: NewJob)]
        switch try await content(of: event) {
        case .jobs(let found): jobs = found
        case .nothing(let outcome): return outcome
        }
        guard !isTrial else { return .queued }
        return try await scope(event.organisation).transaction { transaction in
            // One after another with erasures: what is erased isn't played again.
            let marked = try await transaction.run([
                ReceiveMessage.lockUnprocessed(of: event.organisation),
                """
                UPDATE unprocessed_events
                   SET replayed_at = now()
                 WHERE org_id = \(event.organisation) AND id = \(event.id)
                   AND replayed_at IS NOT DISTINCT FROM \(event.replayedAt)::timestamptz
                """,
            ])
            guard marked[1].affected == 1 else { return .gone }
            // Before the commit: killed in between, it is played once more and not lost.
            for (queue, jobs) in Dictionary(grouping: jobs, by: \.queue).sorted(by: { $0.key > $1.key }) {
                _ = try await services.producer.add(jobs.map(\.job), to: queue)
            }
            return .queued
        }
    }

    private enum Content {
        case jobs([(queue: String, job: NewJob)])
        case nothing(Outcome)
    }

    private func content(of event: Event) async throws -> Content {
        guard let id = event.channel.map({ Channel.ID($0) }),
            let channel = try await ChannelDirectory.shared(services).find(id), channel.status != "disabled",
            channel.organisation == event.organisation
        else { return .nothing(.channelGone) }
        let data = try? JSON.parse(event.data)  // what is no JSON was discarded for that
        guard let data else { return .nothing(.unreadable) }
        guard let raw = data.given("raw") else {
            // A job that failed: it is added once more as it was.
            let job = NewJob(name: event.job, data: event.data, organisation: event.organisation.uuid, trace: nil)
            return .jobs([(event.queue, job)])
        }
        let account = ChannelAccount(channel)
        guard let webhook = Webhook.replaying(Array(raw.text.utf8), kind: channel.kind.rawValue, for: account),
            let events = try? channel.events(in: webhook)  // of no known form: as unreadable as before
        else { return .nothing(.unreadable) }
        let jobs = events.compactMap { event -> (queue: String, job: NewJob)? in
            switch event {
            case .message(let message):
                (ReceiveMessage.queue, ReceiveMessage.job(for: message, on: channel, trace: nil))
            case .change(let change): (ApplyChange.queue, ApplyChange.job(for: change, on: channel, trace: nil))
            case .unreadable: nil
            }
        }
        return jobs.isEmpty ? .nothing(.unreadable) : .jobs(jobs)
    }
}
