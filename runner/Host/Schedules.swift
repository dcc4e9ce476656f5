import Cron
import Foundation
import Functions
import Logging
import Manifest
import Queue
import Redis
import ServiceLifecycle

/// Fires the schedules: adds a job per due time, whose id holds that time, so that any number of hosts fire it once.
struct ScheduleService: Service {
    /// The queue that all schedules go through; dashboards show their runs there.
    static let queue = "schedules"

    struct Scheduled: Sendable {
        let declaration: FunctionDeclaration
        let trigger: ScheduleTrigger
        let run: @Sendable (WorkContext) async throws -> Void
    }

    let functions: [Scheduled]
    let services: Services
    let metrics: Metrics
    let inFlight: InFlight
    let deadlines: Deadlines
    let logger: Logger

    func run() async throws {
        let consumer = Consumer(
            redis: services.redis,
            queue: Self.queue,
            options: options,
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
            for function in functions {
                group.addTask {
                    await cancelWhenGracefulShutdown { await fire(function) }
                }
            }
        }
    }

    private var options: ConsumerOptions {
        var options = ConsumerOptions()
        options.concurrency = max(1, functions.count)
        options.attempts = 1
        options.keepCompleted = Retention(count: 1000, age: .seconds(86_400))
        return options
    }

    /// Waits for each due time in turn and adds its job.
    private func fire(_ function: Scheduled) async {
        // functions.yaml was checked: the zone is one that this system knows.
        guard let zone = TimeZone(identifier: function.trigger.timezone) else { return }
        var last = services.now()
        while !Task.isCancelled {
            guard let due = function.trigger.cron.next(after: last, in: zone) else { return }
            while services.now() < due, !Task.isCancelled {
                // In short steps, since a laptop sleeps and clocks are set.
                let rest = due.timeIntervalSince(services.now())
                try? await Task.sleep(for: .seconds(min(max(rest, 0.001), 30)))  // cancelled: the loops end
            }
            guard !Task.isCancelled else { return }
            last = due
            await add(function.declaration.name, due: due)
        }
    }

    private func add(_ name: String, due: Date) async {
        let milliseconds = Int((due.timeIntervalSince1970 * 1000).rounded())
        let job = NewJob(name: name, data: #"{"due":\#(milliseconds)}"#, id: "schedule-\(name)-\(milliseconds)")
        while !Task.isCancelled {
            do {
                _ = try await services.producer.add(job, to: Self.queue)
                return
            } catch {
                logger.warning("a schedule waits for Redis", metadata: ["function": "\(name)", "error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))  // cancelled: the loop ends
            }
        }
    }

    private func handle(_ jobs: [Job]) async -> [JobOutcome] {
        var outcomes: [JobOutcome] = []
        for job in jobs { outcomes.append(await handle(job)) }
        return outcomes
    }

    private func handle(_ job: Job) async -> JobOutcome {
        guard let function = functions.first(where: { $0.declaration.name == job.name }) else {
            return .discard(reason: "no schedule is called \(job.name)")
        }
        let began = ContinuousClock.now
        let flight = inFlight.begin(job.name, job.id)
        defer { inFlight.end(flight) }
        var logger = logger
        logger[metadataKey: "function"] = "\(job.name)"
        logger[metadataKey: "job"] = "\(job.id)"
        let context = WorkContext(
            function: job.name,
            uses: Set(function.declaration.uses),
            deadline: function.declaration.timeout.map { services.now().addingTimeInterval($0.seconds) },
            logger: logger,
            services: services
        )
        do {
            try await deadlines.run(function.declaration.timeout) { try await function.run(context) }
            metrics.jobs(job.name, done: 1, failed: 0, seconds: began.duration(to: .now).seconds)
            return .completed(result: nil)
        } catch {
            logger.warning("a schedule failed", metadata: ["error": "\(error)"])
            metrics.jobs(job.name, done: 0, failed: 1, seconds: began.duration(to: .now).seconds)
            return .failed(reason: "\(error)")
        }
    }
}
