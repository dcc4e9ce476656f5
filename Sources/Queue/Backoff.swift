/// How long a job waits between a failed attempt and the next one.
package struct Backoff: Sendable, Hashable {
    package enum Kind: String, Sendable {
        /// Always the same delay.
        case fixed
        /// The delay doubles with every attempt.
        case exponential
    }

    package let kind: Kind
    package let delay: Duration
    /// The longest that an exponential delay grows to.
    package let maximum: Duration?
    /// The part of a delay, 0…1, that is left to chance: 0.5 gives half the delay up to the whole.
    package let jitter: Double

    package static func fixed(_ delay: Duration, jitter: Double = 0) -> Backoff {
        Backoff(kind: .fixed, delay: delay, maximum: nil, jitter: jitter)
    }

    package static func exponential(_ delay: Duration, max: Duration? = nil, jitter: Double = 0) -> Backoff {
        Backoff(kind: .exponential, delay: delay, maximum: max, jitter: jitter)
    }

    /// The delay after the attempt of this number, counted from 1.
    ///
    /// - Parameters:
    ///   - attempt: how many attempts were made, the one that failed just now included.
    ///   - random: a number of 0..<1 for the jitter.
    /// - Returns: whole milliseconds, at most a year.
    package func delay(afterAttempt attempt: Int, random: Double) -> Duration {
        var milliseconds = Double(delay.milliseconds)
        if kind == .exponential {
            milliseconds *= Double(sign: .plus, exponent: min(Swift.max(attempt, 1) - 1, 62), significand: 1)
        }
        // A year is past any sense; the cap also keeps the scores of `delayed` exact.
        milliseconds = min(milliseconds, Double(maximum?.milliseconds ?? .max), 366 * 86_400_000)
        let jitter = min(Swift.max(jitter, 0), 1)
        return .milliseconds(Int64((milliseconds * (1 - jitter) + random * milliseconds * jitter).rounded(.down)))
    }
}

extension Backoff {
    /// Reads `opts.backoff`: a number of milliseconds, or an object; `nil` for kinds that only their author knows.
    init?(_ json: JSONText) {
        if let delay = json.integer {
            self = .fixed(.milliseconds(delay))
            return
        }
        guard let kind = json["type"]?.string.flatMap(Kind.init(rawValue:)) else { return nil }
        self.kind = kind
        delay = .milliseconds(json["delay"]?.integer ?? 0)
        maximum = json["max"]?.integer.map { .milliseconds($0) }
        jitter = json["jitter"]?.number ?? 0
    }

    /// As it stands in `opts`; `max` is ours, other clients do not know it.
    var json: String {
        var text = "{\"type\":\"\(kind.rawValue)\",\"delay\":\(delay.milliseconds)"
        if let maximum { text += ",\"max\":\(maximum.milliseconds)" }
        if jitter > 0 { text += ",\"jitter\":\(jitter)" }
        return text + "}"
    }
}

extension Duration {
    /// Whole milliseconds, rounded down; negative durations count as none.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }
}
