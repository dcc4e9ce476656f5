/// The statements that one connection has prepared, by their text; the least recently used make room for new ones.
struct StatementCache: Sendable {
    /// One prepared statement, from the moment its preparation is sent.
    ///
    /// Touched only under the lock of the connection that owns the cache, which is why it may pass as `Sendable`.
    final class Entry: @unchecked Sendable {
        let text: String
        let name: String
        /// The Sync-delimited group that sent the preparation; others must not rely on it before it is confirmed.
        let group: Int
        var isConfirmed = false
        var lastUse = 0

        init(text: String, name: String, group: Int) {
            self.text = text
            self.name = name
            self.group = group
        }
    }

    enum Plan: Sendable {
        case execute(Entry)
        case prepareAndExecute(Entry)
        /// Its preparation is on the way in another group, and may yet fail with it.
        case sendUnnamed
    }

    private let limit: Int
    private var entries: [String: Entry] = [:]
    private var uses = 0
    private var names = 0
    /// Names the server should forget when there is an occasion.
    private(set) var discarded: [String] = []

    init(limit: Int) {
        self.limit = limit
    }

    var count: Int { entries.count }

    mutating func plan(for text: String, group: Int) -> Plan {
        guard limit > 0 else { return .sendUnnamed }
        uses += 1
        if let entry = entries[text] {
            entry.lastUse = uses
            return entry.isConfirmed || entry.group == group ? .execute(entry) : .sendUnnamed
        }
        if entries.count >= limit { evict() }
        names += 1
        let entry = Entry(text: text, name: "s\(names)", group: group)
        entry.lastUse = uses
        entries[text] = entry
        return .prepareAndExecute(entry)
    }

    /// The preparation failed, or was skipped because something before it failed: the server knows no such name.
    mutating func forget(_ entry: Entry) {
        if entries[entry.text] === entry { entries[entry.text] = nil }
    }

    /// The statement is no longer of use, though the server may still hold it.
    mutating func discard(_ entry: Entry) {
        forget(entry)
        discarded.append(entry.name)
    }

    /// Everything was dropped on the server (`DISCARD ALL`).
    mutating func reset() {
        entries = [:]
        discarded = []
    }

    mutating func takeDiscarded() -> [String] {
        defer { discarded = [] }
        return discarded
    }

    private mutating func evict() {
        let oldest = entries.values.lazy.filter(\.isConfirmed).min { $0.lastUse < $1.lastUse }
        if let oldest { discard(oldest) }
    }
}
