import Cron
package import Foundation

/// A job scheduler as it stands in Redis: what it makes, and when.
package struct JobScheduler: Sendable, Equatable, Identifiable {
    package let id: String
    /// The name of its jobs.
    package let name: String
    /// Their data, JSON.
    package let data: String
    /// Their options, JSON.
    package let template: String
    package let schedule: JobSchedule
    /// When its next job is due.
    package let next: Date
    /// How many jobs it has made.
    package let made: Int

    /// As the fields of its hash have it.
    init(id: String, next: Int64, fields: [String: String]) {
        func number(_ name: String) -> Int64? { fields[name].flatMap { Double($0) }.map { Int64($0) } }
        self.id = id
        self.next = Date(milliseconds: next)
        name = fields["name"] ?? id
        data = fields["data"] ?? "{}"
        template = fields["opts"] ?? "{}"
        made = Int(number("ic") ?? 0)
        schedule = JobSchedule(
            Self.rule(fields, every: number("every"), offset: number("offset")),
            limit: number("limit").map(Int.init),
            start: number("startDate").map { Date(milliseconds: $0) },
            end: number("endDate").map { Date(milliseconds: $0) }
        )
    }

    private static func rule(_ fields: [String: String], every: Int64?, offset: Int64?) -> JobSchedule.Rule {
        if let every {
            return .every(.milliseconds(every), offset: offset.flatMap { $0 > 0 ? .milliseconds($0) : nil })
        }
        let pattern = fields["pattern"] ?? ""
        let zone = fields["tz"].map { TimeZone(identifier: $0) } ?? .gmt
        // Another client may know more kinds of patterns than we do.
        guard let cron = try? CronExpression(pattern), let zone else { return .unreadable(pattern) }
        return .cron(cron, in: zone)
    }

    /// The id of the job that is due at a time.
    static func jobId(_ id: String, due: Int64) -> String { "repeat:\(id):\(due)" }

    /// The time at which a scheduler's job was due, read from its id; `nil` for other jobs.
    package static func due(ofJob id: String) -> Date? {
        guard id.hasPrefix("repeat:"), let last = id.split(separator: ":").last, let due = Int64(last) else {
            return nil
        }
        return Date(milliseconds: due)
    }

    /// The options of the job that is due at a time, JSON: those of all its jobs, and what is this one's.
    static func options(
        _ id: String,
        template: String,
        schedule: JobSchedule,
        due: Int64,
        now: Int64,
        count: Int
    ) -> String {
        var options: [String: JSONText] = [:]
        if case .object(let members)? = JSONText(parsing: template) { options = members }
        options["jobId"] = .string(jobId(id, due: due))
        options["repeatJobKey"] = .string(id)
        options["timestamp"] = .number(Double(now))
        options["prevMillis"] = .number(Double(due))
        options["delay"] = .number(Double(max(0, due - now)))
        var rule: [String: JSONText] = ["count": .number(Double(count))]
        switch schedule.rule {
        case .every(let every, let offset):
            rule["every"] = .number(Double(every.milliseconds))
            if let offset { rule["offset"] = .number(Double(offset.milliseconds)) }
        case .cron(let cron, let zone):
            rule["pattern"] = .string(cron.text)
            rule["tz"] = .string(zone.identifier)
        case .unreadable(let pattern): rule["pattern"] = .string(pattern)
        }
        if let limit = schedule.limit { rule["limit"] = .number(Double(limit)) }
        if let start = schedule.start { rule["startDate"] = .number(Double(start.milliseconds)) }
        if let end = schedule.end { rule["endDate"] = .number(Double(end.milliseconds)) }
        options["repeat"] = .object(rule)
        return JSONText.object(options).text
    }
}
