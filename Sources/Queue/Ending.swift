import Redis

/// What is to be written when a run has ended: the decision, apart from the writing.
struct Ending: Sendable, Equatable {
    enum Kind: String, Sendable {
        case completed, failed, retry, delay, snooze, wait, limit
    }

    let lease: Lease
    /// How many of its runs had ended before this one.
    let attemptsMade: Int
    /// What holds off others like it until it ends.
    let deduplication: String?
    let kind: Kind
    /// The result as JSON, or the reason of a failure as text.
    var value = ""
    /// The new stack trace, `nil` when it stays as it is.
    var stacktrace: String?
    var delay: Duration = .zero
    /// For `retry` that it goes in front, for `failed` that its attempts are used up.
    var flag = false
    var retention = Retention.all

    init(
        _ job: Job,
        _ kind: Kind,
        value: String = "",
        stacktrace: String? = nil,
        delay: Duration = .zero,
        flag: Bool = false,
        retention: Retention = .all
    ) {
        lease = Lease(job)
        attemptsMade = job.attemptsMade
        deduplication = job.deduplication
        self.kind = kind
        self.value = value
        self.stacktrace = stacktrace
        self.delay = delay
        self.flag = flag
        self.retention = retention
    }

    /// What the script `TurnOver` is told of endings: the rules of keeping that they name, then each of them.
    static func arguments(_ endings: [Ending]) -> [RedisArgument] {
        var rules: [Retention] = []
        var told: [RedisArgument] = []
        told.reserveCapacity(endings.count * 8)
        for ending in endings {
            let number: Int64
            switch ending.kind {
            case .completed, .failed:
                if let known = rules.firstIndex(of: ending.retention) {
                    number = Int64(known) + 1
                } else {
                    rules.append(ending.retention)
                    number = Int64(rules.count)
                }
            case .retry, .delay, .snooze, .wait, .limit: number = ending.delay.milliseconds
            }
            told += [
                .string(ending.lease.id), .string(ending.lease.token), .string(ending.word), .string(ending.value),
                .string(ending.stacktrace ?? ""), .integer(number), .integer(Int64(ending.attemptsMade)),
                .string(ending.deduplication ?? ""),
            ]
        }
        var arguments: [RedisArgument] = [.integer(Int64(rules.count))]
        for rule in rules { arguments += [.integer(rule.scriptCount), .integer(rule.scriptAge), 1000] }
        return arguments + told
    }

    private var word: String {
        switch (kind, flag) {
        case (.failed, true): "exhausted"
        case (.retry, true): "retry-first"
        default: kind.rawValue
        }
    }
}

/// A run of a job: its id with the token that the lock of this run holds.
struct Lease: Sendable, Hashable {
    let id: String
    let token: String
}

extension Ending {
    /// Decides what follows from an outcome.
    ///
    /// - Parameters:
    ///   - job: the job that ran.
    ///   - outcome: what its handler made of it.
    ///   - options: those of the consumer, for what the job leaves open.
    ///   - random: a number of 0..<1 for the jitter of the backoff.
    /// - Returns: what is to be written.
    static func deciding(_ job: Job, _ outcome: JobOutcome, _ options: ConsumerOptions, random: Double) -> Ending {
        let allowed = job.options.attempts ?? options.attempts
        switch outcome {
        case .completed(let result):
            return Ending(
                job,
                .completed,
                value: result ?? "null",
                retention: job.options.keepCompleted ?? options.keepCompleted
            )
        case .failed(let reason):
            guard job.attempt < allowed else { return failing(job, reason, isExhausted: true, options) }
            let backoff = job.options.backoff ?? options.backoff
            let delay = backoff?.delay(afterAttempt: job.attempt, random: random) ?? .zero
            return again(job, after: delay, reason)
        case .retry(let delay, let reason):
            guard job.attempt < allowed else { return failing(job, reason, isExhausted: true, options) }
            return again(job, after: delay, reason)
        case .discard(let reason):
            return failing(job, reason, isExhausted: job.attempt >= allowed, options)
        case .snooze(let delay):
            return snoozing(job, for: delay)
        case .released:
            return Ending(job, .wait)
        case .limited(let pause):
            return Ending(job, .limit, delay: max(pause, .milliseconds(1)))
        }
    }

    /// At least a millisecond, or a job that is put off for no time would spin.
    static func snoozing(_ job: Job, for delay: Duration) -> Ending {
        Ending(job, .snooze, delay: max(delay, .milliseconds(1)))
    }

    private static func failing(_ job: Job, _ reason: String, isExhausted: Bool, _ options: ConsumerOptions) -> Ending {
        Ending(
            job,
            .failed,
            value: reason,
            stacktrace: job.stacktrace(adding: reason),
            flag: isExhausted,
            retention: job.options.keepFailed ?? options.keepFailed
        )
    }

    private static func again(_ job: Job, after delay: Duration, _ reason: String) -> Ending {
        Ending(
            job,
            delay.milliseconds > 0 ? .delay : .retry,
            value: reason,
            stacktrace: job.stacktrace(adding: reason),
            delay: delay,
            flag: job.options.lifo
        )
    }
}

extension Job {
    /// The JSON array of the latest failures with one more.
    fileprivate func stacktrace(adding reason: String) -> String {
        var entries: [String] = []
        if let stacktrace, case .array(let earlier)? = JSONText(parsing: stacktrace) {
            entries = earlier.compactMap(\.string)
        }
        entries.append(reason)
        return "[" + entries.suffix(options.stackTraceLimit).map { JSONText.quoted($0) }.joined(separator: ",") + "]"
    }
}
