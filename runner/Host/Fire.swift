import Foundation
import Functions
import Manifest
import Queue

/// One fire of a schedule: whether it is to run, noted before it does.
struct Fire {
    enum Decision: Equatable {
        case run(due: Date)
        case skip(String)
    }

    private let job: Job
    private let trigger: ScheduleTrigger
    private let services: Services
    /// The time for which it was set; that of its adding when somebody asked for it by hand.
    private let due: Date

    init(_ job: Job, of trigger: ScheduleTrigger, _ services: Services) {
        self.job = job
        self.trigger = trigger
        self.services = services
        due = JobScheduler.due(ofJob: job.id) ?? Date(timeIntervalSince1970: Double(job.timestamp) / 1000)
    }

    /// Decides, and notes a run as begun.
    ///
    /// - Throws: when Redis or PostgreSQL is away; then nothing has begun.
    func begin() async throws -> Decision {
        let store = ScheduleStore(services.postgres)
        let last = try await store.record(of: job.name)
        // Redis may have gone back in time; the same fire again after a failure or a death is no such thing.
        if let last {
            let difference = last.due.timeIntervalSince(due)
            // Times go through both stores in milliseconds.
            let isSame = abs(difference) < 0.001
            if isSame ? last.ended != nil && last.error == nil : difference > 0 { return .skip("has been") }
        }
        if trigger.overlap == .skip, try await overlaps() {
            try await store.skip(job.name)
            return .skip("the one before still runs")
        }
        let missed = Self.fires(of: trigger, after: last?.due, before: due)
        try await store.begin(job.name, due: due, missed: missed.count, lastMissed: missed.last)
        return .run(due: due)
    }

    /// Whether another job of this schedule that began before this one is active.
    private func overlaps() async throws -> Bool {
        let queue = QueueControl(redis: services.redis, prefix: services.producer.prefix, queue: job.queue)
        let active = try await queue.jobs(.active, count: 1000)
            .filter { $0.name == job.name }
        guard let own = active.first(where: { $0.id == job.id }) else { return false }
        return active.contains { other in
            guard other.id != own.id, let begun = other.begun, let ownBegun = own.begun else { return false }
            return (begun, other.id) < (ownBegun, own.id)
        }
    }

    /// The times between two fires, which nobody ran; at most a thousand.
    static func fires(of trigger: ScheduleTrigger, after last: Date?, before due: Date) -> [Date] {
        guard var time = last else { return [] }
        var fires: [Date] = []
        while fires.count < 1000, let next = trigger.next(after: time), next < due {
            fires.append(next)
            time = next
        }
        return fires
    }
}
