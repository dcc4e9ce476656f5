import Cron
import Foundation
import Functions
import Logging
import Manifest
import Postgres
package import Queue
import Redis
import ServiceLifecycle

/// Runs the schedules: each is a job scheduler of one queue, so that any number of hosts fire it once, and dashboards show
/// when it is due and what became of it.
struct ScheduleService: Service {
    struct Scheduled: Sendable {
        let declaration: FunctionDeclaration
        let trigger: ScheduleTrigger
        let run: @Sendable (WorkContext) async throws -> Void
    }

    let functions: [Scheduled]
    /// The names of all schedules of functions.yaml, hosted here or not: others' schedulers are removed.
    let known: Set<String>
    let services: Services
    let watch: MarkerWatch
    let metrics: Metrics
    let inFlight: InFlight
    let deadlines: Deadlines
    let logger: Logger

    func run() async throws {
        let consumer = Consumer(
            redis: services.redis,
            prefix: services.producer.prefix,
            queue: Schedules.queue,
            options: options,
            watch: watch,
            logger: logger,
            onExhausted: nil,
            handle: { jobs in await handle(jobs) }
        )
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await withGracefulShutdownHandler {
                    await consumer.run()
                } onGracefulShutdown: {
                    Task { await consumer.stop() }  // ends by itself: it only sets the consumer's state
                }
            }
            group.addTask { await cancelWhenGracefulShutdown { await declare() } }
        }
    }

    private var options: ConsumerOptions {
        var options = ConsumerOptions()
        options.concurrency = max(2, functions.count * 2)
        options.lockDuration = .seconds(10)
        options.stalledInterval = .seconds(5)
        options.attempts = Schedules.attempts
        return options
    }

    // MARK: Declaring

    /// Makes a scheduler of each function, and removes those whose function is gone; tries until it is done.
    private func declare() async {
        while !Task.isCancelled {
            do {
                for function in functions { try await declare(function) }
                for scheduler in try await schedulers.list() where !known.contains(scheduler.id) {
                    try await schedulers.remove(scheduler.id)
                    logger.notice("a schedule is gone", metadata: ["function": "\(scheduler.id)"])
                }
                return
            } catch {
                logger.warning("the schedules wait for their servers", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))  // cancelled: the loop ends
            }
        }
    }

    private var schedulers: JobSchedulers {
        JobSchedulers(redis: services.redis, prefix: services.producer.prefix, queue: Schedules.queue)
    }

    private func declare(_ function: Scheduled) async throws {
        let name = function.declaration.name
        // Where Redis has forgotten everything, a fire that has not been is due at once.
        let last = try await ScheduleStore(services.postgres).record(of: name)
        let missed = last.flatMap { function.trigger.next(after: $0.due) }.flatMap { $0 <= services.now() ? $0 : nil }
        try await schedulers.upsert(
            name,
            JobSchedule(.cron(function.trigger.cron, in: function.trigger.zone)),
            Schedules.job(of: name),
            keepsSame: true,
            first: missed
        )
    }

    // MARK: Running

    private func handle(_ jobs: [Job]) async -> [JobOutcome] {
        var outcomes: [JobOutcome] = []
        for job in jobs { outcomes.append(await handle(job)) }
        return outcomes
    }

    private func handle(_ job: Job) async -> JobOutcome {
        guard let function = functions.first(where: { $0.declaration.name == job.name }) else {
            guard known.contains(job.name) else { return .discard(reason: "no schedule is called \(job.name)") }
            // Another process hosts it.
            return .snooze(.seconds(1))
        }
        var logger = logger
        logger[metadataKey: "function"] = "\(job.name)"
        logger.follow([job])
        do {
            switch try await Fire(job, of: function.trigger, services).begin() {
            case .skip(let why):
                logger.notice("a schedule is left out", metadata: ["reason": "\(why)"])
                return .completed(result: #"{"skipped":"\#(why)"}"#)
            case .run(let due):
                return await run(function, job, due: due, logger)
            }
        } catch {
            logger.warning("a schedule waits for its servers", metadata: ["error": "\(error)"])
            return .snooze(.seconds(1))
        }
    }

    private func run(_ function: Scheduled, _ job: Job, due: Date, _ logger: Logger) async -> JobOutcome {
        let began = ContinuousClock.now
        let flight = inFlight.begin(job.name, job.id)
        defer { inFlight.end(flight) }
        let context = WorkContext(
            function: job.name,
            uses: Set(function.declaration.uses),
            deadline: function.declaration.timeout.map { services.now().addingTimeInterval($0.seconds) },
            logger: logger,
            services: services
        )
        var fault: String?
        do {
            try await deadlines.run(function.declaration.timeout) { try await function.run(context) }
        } catch {
            fault = "\(error)"
            logger.warning("a schedule failed", metadata: ["error": "\(error)"])
        }
        metrics.jobs(
            job.name,
            done: fault == nil ? 1 : 0,
            failed: fault == nil ? 0 : 1,
            seconds: began.duration(to: .now).seconds
        )
        do {
            try await ScheduleStore(services.postgres).end(job.name, due: due, error: fault)
        } catch {
            logger.warning("the end of a schedule was not noted", metadata: ["error": "\(error)"])
        }
        return fault.map { .failed(reason: $0) } ?? .completed(result: nil)
    }
}

/// Where the schedules lie in Redis.
package enum Schedules {
    /// The queue that all of them go through.
    package static let queue = "schedules"
    /// A fire whose process died, or that failed, is tried again.
    static let attempts = 3

    /// What the jobs of a schedule are made by.
    package static func job(of function: String) -> NewJob {
        NewJob(
            name: function,
            data: "{}",
            attempts: attempts,
            backoff: .exponential(.seconds(5), max: .seconds(60)),
            keepCompleted: Retention(count: 1000, age: .seconds(86_400)),
            keepFailed: Retention(count: 1000, age: .seconds(14 * 86_400))
        )
    }
}
