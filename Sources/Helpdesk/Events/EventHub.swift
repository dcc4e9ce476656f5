import Foundation
import Functions
import Logging
import Postgres
import Queue
import Redis
import Synchronization

/// The process's one reader of each organisation that somebody listens to.
///
/// Redis says when there is something to read; PostgreSQL is asked every ``patience`` all the same, so that a message that
/// Redis lost costs no more than that. However many streams an organisation has, it is read once and costs no connection of
/// its own.
final class EventHub: Sendable {
    /// Redis's channel on which organisations' ids are told, with commas, whose events grew.
    static let topic = "events"

    private static let patience = Duration.seconds(2)
    /// While events wait for an earlier transaction's end.
    private static let impatience = Duration.milliseconds(50)

    let reader: EventReader
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var feeds: [Organisation.ID: Feed] = [:]
        var isTicking = false
    }

    /// One organisation's: where it was read to, and who listens.
    private final class Feed: Sendable {
        struct State {
            var position: EventPosition
            var mailboxes: [ObjectIdentifier: EventMailbox] = [:]
            var isWoken = false
            var sleeper: Task<Void, Never>?
        }

        let state: Mutex<State>

        init(_ position: EventPosition) {
            state = Mutex(State(position: position))
        }

        func wake() {
            let sleeper = state.withLock { state in
                state.isWoken = true
                return state.sleeper
            }
            sleeper?.cancel()
        }

        /// Returns after `limit`, or earlier when it is woken.
        func sleep(_ limit: Duration) async {
            let sleeper = Task { _ = try? await Task.sleep(for: limit) }  // cancelled is woken
            let isWoken = state.withLock { state in
                state.sleeper = sleeper
                return state.isWoken
            }
            if isWoken { sleeper.cancel() }
            await sleeper.value
            state.withLock { state in
                state.sleeper = nil
                state.isWoken = false
            }
        }
    }

    /// Wakes every process's readers of an organisation, and the work for its webhook endpoints, once the transaction has committed.
    static func announce(_ organisation: Organisation.ID, in transaction: Transaction) {
        transaction.publish(organisation.description, on: topic)
        guard WebhookDirectory.shared(transaction.scope.services).mayWant(organisation) else { return }
        transaction.enqueueOnce(
            DeliverWebhooks.job(for: organisation, trace: transaction.origin.requestId),
            to: DeliverWebhooks.queue
        )
    }

    /// The same for changes that committed a moment ago.
    static func announce(_ organisations: some Collection<Organisation.ID>, _ services: Services) async {
        guard !organisations.isEmpty else { return }
        let text = organisations.map(\.description).joined(separator: ",")
        // A wake-up that is lost costs the readers' patience and no more.
        _ = await services.redis.pipeline([["PUBLISH", .string(topic), .string(text)]])
        let directory = WebhookDirectory.shared(services)
        let jobs = organisations.filter(directory.mayWant).map { DeliverWebhooks.job(for: $0, trace: nil) }
        guard !jobs.isEmpty else { return }
        _ = try? await services.producer.add(jobs, to: DeliverWebhooks.queue)  // the sweep adds what is lost
    }

    static func shared(_ services: Services) -> EventHub {
        services.shared(EventHub.self) {
            let hub = EventHub(
                reader: EventReader(postgres: services.postgres, key: services.cursorKey),
                logger: services.logger
            )
            hub.listen(to: services.redis)
            return hub
        }
    }

    private init(reader: EventReader, logger: Logger) {
        self.reader = reader
        self.logger = logger
    }

    /// From the returned position on everything arrives in the mailbox, until that has ended.
    func join(_ organisation: Organisation.ID, _ mailbox: EventMailbox) async throws -> EventPosition {
        if let position = add(mailbox, to: organisation, from: nil) { return position }
        let now = try await reader.now(organisation)
        return add(mailbox, to: organisation, from: now) ?? now
    }

    private func add(_ mailbox: EventMailbox, to organisation: Organisation.ID, from start: EventPosition?)
        -> EventPosition?
    {
        state.withLock { state in
            var feed = state.feeds[organisation]
            if feed == nil, let start {
                let new = Feed(start)
                state.feeds[organisation] = new
                feed = new
                // Its owner is this table: it ends when nobody listens any more.
                Task { await self.run(new, organisation) }
            }
            guard let feed else { return nil }
            if !state.isTicking {
                state.isTicking = true
                Task { await self.tick() }
            }
            return feed.state.withLock { state in
                state.mailboxes[ObjectIdentifier(mailbox)] = mailbox
                return state.position
            }
        }
    }

    private func run(_ feed: Feed, _ organisation: Organisation.ID) async {
        while !isDeserted(feed, organisation) {
            var wait = Self.patience
            do {
                let after = feed.state.withLock { $0.position }
                let page = try await reader.page(of: organisation, after: after)
                let mailboxes = feed.state.withLock { state in
                    state.position = page.end
                    return Array(state.mailboxes.values)
                }
                for event in page.events { for mailbox in mailboxes { mailbox.put(.event(event)) } }
                if page.isFull { wait = .zero } else if page.isWaiting { wait = Self.impatience }
            } catch {
                logger.warning(
                    "events could not be read; they are tried again",
                    metadata: ["organisation": "\(organisation)", "error": "\(error)"]
                )
            }
            if wait > .zero { await feed.sleep(wait) }
        }
    }

    /// Drops those who have left; whether nobody is left, and then the feed too.
    private func isDeserted(_ feed: Feed, _ organisation: Organisation.ID) -> Bool {
        state.withLock { state in
            let isDeserted = feed.state.withLock { feed in
                feed.mailboxes = feed.mailboxes.filter { !$0.value.isEnded }
                return feed.mailboxes.isEmpty
            }
            if isDeserted { state.feeds[organisation] = nil }
            return isDeserted
        }
    }

    /// Once a second: ends what has expired, and now and then has sessions looked at and comments written.
    private func tick() async {
        for second in 1... {
            try? await Task.sleep(for: .seconds(1))  // nobody cancels it
            let now = Date()
            let feeds = state.withLock { state in
                if state.feeds.isEmpty { state.isTicking = false }
                return state.feeds.isEmpty ? nil : Array(state.feeds.values)
            }
            guard let feeds else { return }
            for mailbox in feeds.flatMap({ $0.state.withLock { Array($0.mailboxes.values) } }) {
                if let expires = mailbox.expires, expires <= now { mailbox.end() }
                if second % 3 == 0 { mailbox.put(.verify) }
                if second % 15 == 0 { mailbox.put(.beat) }
            }
        }
    }

    /// Lives as long as the process's Redis client, whose shutdown ends the messages.
    private func listen(to redis: Redis) {
        let messages = redis.subscribe([Self.topic])
        Task { [weak self] in
            for await message in messages {
                guard let self else { return }
                switch message {
                case .subscribed, .reconnected:
                    for feed in state.withLock({ Array($0.feeds.values) }) { feed.wake() }
                case .message(_, let text):
                    for id in text.split(separator: ",").compactMap({ Organisation.ID(String($0)) }) {
                        state.withLock { $0.feeds[id] }?.wake()
                    }
                }
            }
        }
    }
}
