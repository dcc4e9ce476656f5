import Foundation
import Functions
import Postgres
import Synchronization

/// One caller's stream of server-sent events: what was missed, then what happens.
///
/// A campaign is told of at most once a second, however often it changes: what comes sooner is held back until then, and of that
/// only the newest is told, under the id of the place where the stream is by then.
actor EventStream: AnswerStream {
    private let scope: OrganisationScope
    private let hub: EventHub
    private let mailbox: EventMailbox
    /// Up to here the caller knows everything.
    private var position: EventPosition
    /// Where the hub was when this joined: from there on everything is in the mailbox.
    private let joined: EventPosition
    /// What had happened before the caller came is not told to one who asks for no more than what happens from now on.
    private let past: EventSnapshot?
    private var opening: [UInt8]
    /// When campaigns were told of lately, and what is held back of them.
    private var told: [UUID: ContinuousClock.Instant] = [:]
    private var held: [UUID: EventReader.Event] = [:]
    private var isReleaseDue = false

    /// Between two events of a campaign; a little more than a second, since not every piece takes equally long to the caller.
    private static let campaignPause = Duration.milliseconds(1050)
    /// How long before the place where a stream ended something may have happened that it held back, in seconds.
    private static let holding = 3.0

    /// Joins the hub, so that nothing is missed between this and the first piece.
    init(_ scope: OrganisationScope, expires: Date?, after lastEventId: String?) async throws {
        self.scope = scope
        hub = EventHub.shared(scope.services)
        mailbox = EventMailbox(expires: expires)
        joined = try await hub.join(scope.organisation, mailbox)
        let now = Int64(scope.services.now().timeIntervalSince1970)
        let key = scope.services.cursorKey
        let known = lastEventId.flatMap { EventPosition.read($0, for: scope.organisation, key: key) }
        if let known, known.at > now - Self.memory {
            position = known.position
            past = nil
            opening = Array(": resumed\nretry: 2000\n\n".utf8)
            let since = Date(timeIntervalSince1970: Double(known.at) - Self.holding)
            let recent = try await hub.reader.campaigns(of: scope.organisation, since: since, through: known.position)
            for event in recent { held[event.entity] = event }
        } else {
            position = joined
            past = try await EventSnapshot.take(scope.services.postgres)
            let id = joined.token(at: now, for: scope.organisation, key: key)
            let event = lastEventId == nil ? ": from now on\n" : "event: reset\ndata: {}\n"
            opening = Array("\(event)id: \(id)\nretry: 2000\n\n".utf8)
        }
    }

    deinit { mailbox.end() }

    /// How far back a stream can be resumed, in seconds.
    private static let memory: Int64 = 24 * 3600

    func next() async throws -> [UInt8]? {
        if !opening.isEmpty {
            defer { opening = [] }
            return opening
        }
        while position < joined {
            if mailbox.isEnded { return nil }
            let page = try await hub.reader.page(of: scope.organisation, after: position, through: joined)
            position = page.isFull ? page.end : joined
            let bytes = page.events.flatMap { spelled($0) }
            if !bytes.isEmpty { return bytes }
        }
        if !held.isEmpty { scheduleRelease() }
        while let items = await mailbox.take() {
            var bytes: [UInt8] = []
            for item in items {
                switch item {
                case .event(let event):
                    guard position < event.position, past?.sees(event.position.xid) != true else { continue }
                    position = event.position
                    bytes += spelled(event)
                case .release: bytes += released()
                case .beat: bytes += Array(":\n\n".utf8)
                case .verify: guard await isAllowed() else { return nil }
                }
            }
            if !bytes.isEmpty { return bytes }
        }
        return nil
    }

    nonisolated func end() { mailbox.end() }

    /// What is told of an event now: nothing of a campaign that was told of a moment ago.
    private func spelled(_ event: EventReader.Event) -> [UInt8] {
        guard event.type == "campaign.updated" else { return Self.text(event) }
        let now = ContinuousClock.now
        if let last = told[event.entity], last.duration(to: now) < Self.campaignPause {
            held[event.entity] = event
            scheduleRelease()
            return []
        }
        held[event.entity] = nil
        told = told.filter { $0.value.duration(to: now) < Self.campaignPause }
        told[event.entity] = now
        return Self.text(event)
    }

    /// Has the mailbox say when the first that is held back may be told.
    private func scheduleRelease() {
        guard !isReleaseDue else { return }
        isReleaseDue = true
        let due = held.keys.map { told[$0]?.advanced(by: Self.campaignPause) ?? .now }.min() ?? .now
        let mailbox = mailbox
        // Ends within the pause; a mailbox that has ended takes nothing.
        Task {
            try? await Task.sleep(until: due, clock: .continuous)  // nobody cancels it
            mailbox.put(.release)
        }
    }

    private func released() -> [UInt8] {
        isReleaseDue = false
        let id = position.token(
            at: Int64(scope.services.now().timeIntervalSince1970),
            for: scope.organisation,
            key: scope.services.cursorKey
        )
        let bytes = held.values.flatMap { spelled($0.position < position ? $0.moved(to: position, id: id) : $0) }
        if !held.isEmpty { scheduleRelease() }
        return bytes
    }

    /// Whether the session still holds; while the database is away that is not known and nothing is told either.
    private func isAllowed() async -> Bool {
        do {
            try await scope.verify()
            return true
        } catch {
            return error.isUnavailable
        }
    }

    /// By the HTML standard, §9.2; JSON text has no line breaks.
    private static func text(_ event: EventReader.Event) -> [UInt8] {
        Array("event: \(event.type)\nid: \(event.id)\ndata: ".utf8) + event.json + Array("\n\n".utf8)
    }
}
