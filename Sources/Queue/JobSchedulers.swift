import Cron
package import Foundation
package import Redis

/// The job schedulers of one queue, BullMQ's: each has exactly one job waiting for its time, and whoever runs that job
/// makes the next.
package struct JobSchedulers: Sendable {
    private let redis: Redis
    private let queue: QueueName

    package init(redis: Redis, prefix: String = "bull", queue: String) {
        self.init(redis: redis, queue: QueueName(prefix: prefix, name: queue))
    }

    init(redis: Redis, queue: QueueName) {
        self.redis = redis
        self.queue = queue
    }

    /// Makes or changes a scheduler.
    ///
    /// - Parameters:
    ///   - id: the scheduler's, without a colon.
    ///   - schedule: when its jobs are due.
    ///   - template: what they are made by; its id, delay and deduplication count for nothing.
    ///   - keepsSame: whether one that is just the same is left alone, with a job that is overdue; otherwise its next
    ///     job is made anew.
    ///   - first: the time of the first job where there is no scheduler yet, instead of the schedule's.
    /// - Returns: the id of its next job; `nil` when its schedule has no further time.
    /// - Throws: ``RedisError``; when it `isUnavailable`, it may have been made or not.
    @discardableResult
    package func upsert(
        _ id: String,
        _ schedule: JobSchedule,
        _ template: NewJob,
        keepsSame: Bool = false,
        first: Date? = nil
    ) async throws(RedisError) -> String? {
        let (now, existing) = try await read(id)
        let previous: Int64? =
            if case .every = schedule.rule { existing.first?.next.milliseconds } else { nil }
        // An interval goes on from the time it has; a pattern knows its own.
        let slot = previous.flatMap { $0 > now ? $0 : nil }
        guard
            let due = slot ?? (existing.isEmpty ? first?.milliseconds : nil) ?? schedule.next(after: nil, now: now)
        else { return nil }
        var template = template
        template.id = nil
        template.delay = nil
        template.deduplication = nil
        let options = JobScheduler.options(
            id,
            template: template.options,
            schedule: schedule,
            due: due,
            now: now,
            count: 1
        )
        let definition = Self.definition(schedule)
        let answer = try await redis.evaluate(
            Scripts.upsertScheduler,
            keys: [queue.base],
            arguments: [.string(id), .integer(due), .string(options), keepsSame ? "1" : "", .string(template.name)]
                + [.string(template.data), .string(template.options)] + definition.map { .string($0) }
        )
        return answer.text
    }

    /// pattern, tz, every, offset, limit, startDate, endDate; '' for what is not set.
    private static func definition(_ schedule: JobSchedule) -> [String] {
        let rule: [String] =
            switch schedule.rule {
            case .every(let every, let offset):
                ["", "", "\(every.milliseconds)", offset.map { "\($0.milliseconds)" } ?? ""]
            case .cron(let cron, let zone): [cron.text, zone.identifier, "", ""]
            case .unreadable(let pattern): [pattern, "", "", ""]
            }
        return rule + [
            schedule.limit.map { "\($0)" } ?? "", schedule.start.map { "\($0.milliseconds)" } ?? "",
            schedule.end.map { "\($0.milliseconds)" } ?? "",
        ]
    }

    /// All of them, the one that is due next first.
    package func list() async throws(RedisError) -> [JobScheduler] {
        try await read(nil).schedulers
    }

    /// Removes a scheduler with the job that waits for its time; false when there was none.
    @discardableResult
    package func remove(_ id: String) async throws(RedisError) -> Bool {
        try await redis.evaluate(Scripts.removeScheduler, keys: [queue.base], arguments: [.string(id)]).integer == 1
    }

    /// Makes the next job of a scheduler whose job is being run; does nothing when there is one.
    ///
    /// - Returns: the scheduler's pattern where it can't be read here: then another worker must make the job.
    func advance(_ id: String, after job: String) async throws(RedisError) -> String? {
        let (now, schedulers) = try await read(id)
        guard let scheduler = schedulers.first, job == JobScheduler.jobId(id, due: scheduler.next.milliseconds) else {
            return nil
        }
        if case .unreadable(let pattern) = scheduler.schedule.rule { return pattern }
        try await makeNext(of: scheduler, after: job, now: now)
        return nil
    }

    /// Makes the next job of those schedulers that have none, because their worker died or knew nothing of them.
    func repair() async throws(RedisError) {
        let (now, schedulers) = try await read(nil, broken: true)
        for scheduler in schedulers { try await makeNext(of: scheduler, after: "", now: now) }
    }

    private func makeNext(of scheduler: JobScheduler, after job: String, now: Int64) async throws(RedisError) {
        let previous = scheduler.next.milliseconds
        guard let due = scheduler.schedule.next(after: previous, now: now, made: scheduler.made) else { return }
        let options = JobScheduler.options(
            scheduler.id,
            template: scheduler.template,
            schedule: scheduler.schedule,
            due: due,
            now: now,
            count: scheduler.made + 1
        )
        _ = try await redis.evaluate(
            Scripts.advanceScheduler,
            keys: [queue.base],
            arguments: [
                .string(scheduler.id), .integer(previous), .string(job), .integer(due), .string(options),
            ]
        )
    }

    private func read(
        _ id: String?,
        broken: Bool = false
    ) async throws(RedisError) -> (now: Int64, schedulers: [JobScheduler]) {
        let answer = try await redis.evaluate(
            Scripts.listSchedulers,
            keys: [queue.base],
            arguments: [.string(id ?? ""), broken ? "1" : ""]
        )
        guard let parts = answer.array, let now = parts.first?.text.flatMap({ Int64($0) }) else {
            throw RedisError(kind: .server, message: "the schedulers of \(queue.name) answered \(answer)")
        }
        let schedulers = parts.dropFirst().compactMap { part -> JobScheduler? in
            guard let entry = part.array, entry.count == 3, let id = entry[0].text,
                let due = entry[1].text.flatMap({ Int64($0) })
            else { return nil }
            return JobScheduler(id: id, next: due, fields: entry[2].pairs)
        }
        return (now, schedulers.sorted { $0.next < $1.next })
    }
}

extension RESPValue {
    /// A flat list of names and values.
    var pairs: [String: String] {
        let words = (array ?? []).map { $0.text ?? "" }
        return Dictionary(
            stride(from: 0, to: words.count - 1, by: 2).map { (words[$0], words[$0 + 1]) },
            uniquingKeysWith: { $1 }
        )
    }
}
