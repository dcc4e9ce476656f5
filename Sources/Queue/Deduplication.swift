/// What keeps a second job from being added beside one that stands for it already.
package struct Deduplication: Sendable, Hashable {
    package enum Mode: Sendable, Hashable {
        /// While the first one has not ended.
        case untilEnded
        /// For a time after the add, however the first one fares; `extending` starts the time again with every refused add.
        case throttle(Duration, extending: Bool = false)
        /// The newest replaces one that is still delayed; with a time the key lasts from the first add, or from the latest
        /// one when `extending`.
        case replace(Duration? = nil, extending: Bool = false)
        /// While the first one has not ended; the newest refused while it ran runs after it.
        case keepLast
    }

    package let id: String
    package let mode: Mode

    package init(_ id: String, _ mode: Mode = .untilEnded) {
        self.id = id
        self.mode = mode
    }
}

extension Deduplication {
    /// As it stands in `opts.de`.
    var json: String {
        var text = "{\"id\":\(JSONText.quoted(id))"
        switch mode {
        case .untilEnded: break
        case .throttle(let time, let extending):
            text += ",\"ttl\":\(max(1, time.milliseconds))"
            if extending { text += ",\"extend\":true" }
        case .replace(let time, let extending):
            if let time { text += ",\"ttl\":\(max(1, time.milliseconds))" }
            if extending { text += ",\"extend\":true" }
            text += ",\"replace\":true"
        case .keepLast: text += ",\"keepLastIfActive\":true"
        }
        return text + "}"
    }
}

/// How many jobs of one key may start in a time; our own, other workers do not know it.
package struct RateLimit: Sendable, Hashable {
    /// What shares the limit, such as a channel.
    package let key: String
    package let most: Int
    package let duration: Duration

    package init(key: String, most: Int, per duration: Duration) {
        self.key = key
        self.most = max(1, most)
        self.duration = duration
    }

    var json: String {
        "{\"key\":\(JSONText.quoted(key)),\"max\":\(most),\"duration\":\(max(1, duration.milliseconds))}"
    }
}
