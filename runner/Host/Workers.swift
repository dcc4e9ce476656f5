import Foundation
import Functions
import Logging
import Manifest
import Postgres
import Queue
import Redis
import ServiceLifecycle

/// Runs one queue function: takes its jobs, calls it, and writes what came of them.
struct WorkerService: Service {
    let declaration: FunctionDeclaration
    let trigger: QueueTrigger
    let worker: HostedWorker
    let services: Services
    let watch: MarkerWatch
    let lockDuration: Duration
    let stalledInterval: Duration
    let lane: Lane?
    let metrics: Metrics
    let inFlight: InFlight
    let deadlines: Deadlines
    let logger: Logger

    func run() async throws {
        let consumer = Consumer(
            redis: services.redis,
            prefix: services.producer.prefix,
            queue: trigger.queue,
            options: options,
            watch: watch,
            lane: lane,
            logger: logger,
            onExhausted: { jobs in try await keep(jobs) },
            handle: { jobs in await handle(jobs) }
        )
        await withGracefulShutdownHandler {
            await consumer.run()
        } onGracefulShutdown: {
            Task { await consumer.stop() }  // ends by itself: it only sets the consumer's state
        }
    }

    private var options: ConsumerOptions {
        var options = ConsumerOptions()
        options.lockDuration = lockDuration
        options.stalledInterval = stalledInterval
        options.concurrency = trigger.concurrency
        options.batch = worker.isBatched ? trigger.batch : 1
        options.attempts = trigger.attempts
        options.backoff = trigger.backoff.map(Backoff.init)
        // Two days, as dashboards show them.
        options.metricsMinutes = 2880
        return options
    }

    private func handle(_ jobs: [Job]) async -> [JobOutcome] {
        let name = declaration.name
        let began = ContinuousClock.now
        var logger = logger
        logger[metadataKey: "function"] = "\(name)"
        logger.follow(jobs)
        let flight = inFlight.begin(name, jobs.map(\.id).joined(separator: ","))
        defer { inFlight.end(flight) }
        let context = context(logger)
        var outcomes: [JobOutcome]
        do {
            let results = try await deadlines.run(declaration.timeout) { try await worker.call(jobs, context) }
            outcomes = results.map(JobOutcome.init)
        } catch {
            // Redis or PostgreSQL away isn't the job's fault: it waits without losing an attempt.
            let isAway = (error as? PostgresError)?.isUnavailable ?? (error as? RedisError)?.isUnavailable ?? false
            outcomes = jobs.map { _ in isAway ? .snooze(.seconds(1)) : .failed(reason: "\(error)") }
        }
        let failed = zip(jobs, outcomes).filter { if case .failed = $0.1 { true } else { false } }
        for (job, outcome) in failed {
            var logger = logger
            logger.follow([job])
            logger.warning("a job failed", metadata: ["attempt": "\(job.attempt)", "outcome": "\(outcome)"])
        }
        metrics.jobs(
            name,
            done: outcomes.count - failed.count,
            failed: failed.count,
            seconds: began.duration(to: .now).seconds
        )
        return outcomes
    }

    /// Lets the function keep what must not get lost, and says so.
    private func keep(_ jobs: [(job: Job, reason: String)]) async throws {
        let failed = jobs.map { FailedJob(job: $0.job, reason: $0.reason) }
        try await worker.keep(failed, context(logger))
        for job in failed {
            var logger = logger
            logger[metadataKey: "function"] = "\(declaration.name)"
            logger.follow([job.job])
            logger.error("a job failed for good", metadata: ["reason": "\(job.reason)"])
        }
    }

    private func context(_ logger: Logger) -> WorkContext {
        WorkContext(
            function: declaration.name,
            uses: Set(declaration.uses),
            deadline: declaration.timeout.map { services.now().addingTimeInterval($0.seconds) },
            logger: logger,
            services: services
        )
    }
}

extension Logger {
    /// Has every line name the jobs and the requests that caused them.
    mutating func follow(_ jobs: [Job]) {
        self[metadataKey: "job"] = "\(jobs.map(\.id).joined(separator: ","))"
        var traces: [String] = []
        for trace in jobs.compactMap(\.trace) where !traces.contains(trace) { traces.append(trace) }
        if !traces.isEmpty { self[metadataKey: "request_id"] = "\(traces.joined(separator: ","))" }
    }
}

extension Backoff {
    init(_ policy: BackoffPolicy) {
        self =
            switch policy {
            case .exponential(let first, let most): .exponential(first, max: most)
            case .fixed(let wait): .fixed(wait)
            }
    }
}

extension JobOutcome {
    init(_ outcome: Outcome) {
        self =
            switch outcome {
            case .done(let result): .completed(result: result)
            case .failed(let reason): .failed(reason: reason)
            case .retry(let delay, let reason): .retry(after: delay, reason: reason)
            case .discard(let reason): .discard(reason: reason)
            case .snooze(let delay): .snooze(delay)
            case .limit(let pause): .limited(pause)
            }
    }
}
