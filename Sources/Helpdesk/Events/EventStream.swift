import Foundation
import Functions
import Postgres
import Synchronization

/// One caller's stream of server-sent events: what was missed, then what happens.
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
            if !page.events.isEmpty { return page.events.flatMap(Self.spelled) }
        }
        while let items = await mailbox.take() {
            var bytes: [UInt8] = []
            for item in items {
                switch item {
                case .event(let event):
                    guard position < event.position, past?.sees(event.position.xid) != true else { continue }
                    position = event.position
                    bytes += Self.spelled(event)
                case .beat: bytes += Array(":\n\n".utf8)
                case .verify: guard await isAllowed() else { return nil }
                }
            }
            if !bytes.isEmpty { return bytes }
        }
        return nil
    }

    nonisolated func end() { mailbox.end() }

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
    private static func spelled(_ event: EventReader.Event) -> [UInt8] {
        Array("event: \(event.type)\nid: \(event.id)\ndata: ".utf8) + event.json + Array("\n\n".utf8)
    }
}
