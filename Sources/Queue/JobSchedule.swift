package import Cron
package import Foundation

/// When the jobs of a scheduler are due.
package struct JobSchedule: Sendable, Equatable {
    package enum Rule: Sendable, Equatable {
        /// At the same distance; `offset` from whole multiples of it since 1970 where one is set.
        case every(Duration, offset: Duration? = nil)
        /// By the clocks of a zone.
        case cron(CronExpression, in: TimeZone)
        /// Another client's rule that this one cannot read; it never falls due here.
        case unreadable(String)
    }

    package var rule: Rule
    /// How many jobs it makes in all.
    package var limit: Int?
    package var start: Date?
    package var end: Date?

    package init(_ rule: Rule, limit: Int? = nil, start: Date? = nil, end: Date? = nil) {
        self.rule = rule
        self.limit = limit
        self.start = start
        self.end = end
    }

    /// The time of the next job.
    ///
    /// Times that have passed meanwhile are left out: after downtime one job makes up for all of them, and it is the one that
    /// was waiting.
    ///
    /// - Parameters:
    ///   - previous: the time of the job before, `nil` for the first one.
    ///   - now: by the clock of Redis.
    ///   - made: how many jobs there have been.
    /// - Returns: milliseconds since 1970; `nil` when there is none.
    func next(after previous: Int64?, now: Int64, made: Int = 0) -> Int64? {
        if let limit, made >= limit { return nil }
        if let end, now > end.milliseconds { return nil }
        switch rule {
        case .unreadable: return nil
        case .every(let every, let offset):
            return Self.next(after: previous, every: max(1, every.milliseconds), offset?.milliseconds, start, now)
        case .cron(let cron, let zone):
            let from = max(previous ?? 0, now, start.map { $0.milliseconds - 1 } ?? 0)
            return cron.next(after: Date(milliseconds: from), in: zone)?.milliseconds
        }
    }

    private static func next(
        after previous: Int64?,
        every: Int64,
        _ offset: Int64?,
        _ start: Date?,
        _ now: Int64
    ) -> Int64 {
        func slot() -> Int64 {
            let aligned = now / every * every + (offset ?? 0)
            return aligned > now ? aligned : aligned + every
        }
        guard let previous else {
            if let start { return max(start.milliseconds, now) }
            return (offset ?? 0) > 0 ? slot() : now
        }
        let next = previous + every
        return next < now ? slot() : next
    }
}

extension Date {
    var milliseconds: Int64 { Int64((timeIntervalSince1970 * 1000).rounded()) }

    init(milliseconds: Int64) {
        self.init(timeIntervalSince1970: Double(milliseconds) / 1000)
    }
}
