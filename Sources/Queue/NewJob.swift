package import Foundation
import Security

/// A job that is to be added to a queue.
package struct NewJob: Sendable {
    package var name: String
    /// JSON text; it is stored as it stands.
    package var data: String
    /// An id of one's own. While a job of this id exists, finished and kept ones included, adding it again changes
    /// nothing. Not a plain number (the counter's), not empty, without `:`.
    package var id: String?
    package var delay: Duration?
    /// 0 runs before all others, then 1 … 2,097,151.
    package var priority: Int
    /// Put in front of the waiting jobs.
    package var lifo: Bool
    /// How often it may be started; `nil` leaves it to the consumer.
    package var attempts: Int?
    package var backoff: Backoff?
    package var keepCompleted: Retention?
    package var keepFailed: Retention?
    package var deduplication: Deduplication?
    package var rate: RateLimit?
    /// Whose job it is.
    package var organisation: UUID?
    /// What it is to be followed by in logs; given on to the handler.
    package var trace: String?

    package init(
        name: String,
        data: String,
        id: String? = nil,
        delay: Duration? = nil,
        priority: Int = 0,
        lifo: Bool = false,
        attempts: Int? = nil,
        backoff: Backoff? = nil,
        keepCompleted: Retention? = nil,
        keepFailed: Retention? = nil,
        deduplication: Deduplication? = nil,
        rate: RateLimit? = nil,
        organisation: UUID? = nil,
        trace: String? = nil
    ) {
        self.name = name
        self.data = data
        self.id = id
        self.delay = delay
        self.priority = min(max(priority, 0), 2_097_151)
        self.lifo = lifo
        self.attempts = attempts
        self.backoff = backoff
        self.keepCompleted = keepCompleted
        self.keepFailed = keepFailed
        self.deduplication = deduplication
        self.rate = rate
        self.organisation = organisation
        self.trace = trace
    }
}

extension NewJob {
    /// An id made from one that a provider gave, whatever that holds: a letter and its SHA-256 in hexadecimal.
    package static func id(fromProviders id: String) -> String { "p" + Hex.encode(SHA256.digest(id)) }

    /// The options that other clients read, as JSON.
    var options: String {
        var text = "{\"attempts\":\(attempts ?? 0),\"delay\":\(delay?.milliseconds ?? 0)"
        if priority > 0 { text += ",\"priority\":\(priority)" }
        if lifo { text += ",\"lifo\":true" }
        if let id { text += ",\"jobId\":\(JSONText.quoted(id))" }
        if let backoff { text += ",\"backoff\":\(backoff.json)" }
        if let keepCompleted { text += ",\"removeOnComplete\":\(keepCompleted.json)" }
        if let keepFailed { text += ",\"removeOnFail\":\(keepFailed.json)" }
        if let deduplication { text += ",\"de\":\(deduplication.json)" }
        return text + "}"
    }

    /// Whether the id can neither meet the counter's nor one of a queue's own keys.
    var hasUsableId: Bool {
        guard let id else { return true }
        return !id.isEmpty && !id.contains(":") && !id.utf8.allSatisfy { (0x30...0x39).contains($0) }
            && !Self.reservedIds.contains(id)
    }

    private static let reservedIds: Set<String> = [
        "id", "meta", "wait", "paused", "active", "prioritized", "pc", "delayed", "completed", "failed",
        "waiting-children", "marker", "events", "limiter", "stalled", "stalled-check", "repeat",
    ]
}
