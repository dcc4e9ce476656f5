import Redis

/// What is to be written when a run has ended: the decision, apart from the writing.
struct Ending: Sendable, Equatable {
    enum Kind: String, Sendable {
        case completed, failed, retry, delay, snooze, wait
    }

    let lease: Lease
    let kind: Kind
    /// The result as JSON, or the reason of a failure as text.
    var value = ""
    /// The new stack trace, `nil` when it stays as it is.
    var stacktrace: String?
    var delay: Duration = .zero
    /// For `retry` that it goes in front, for `failed` that its attempts are used up.
    var flag = false
    var retention = Retention.all

    var arguments: [RedisArgument] {
        [
            .string(lease.id), .string(lease.token), .string(kind.rawValue), .string(value), .string(stacktrace ?? ""),
            .integer(delay.milliseconds), flag ? "1" : "", .integer(retention.scriptCount),
            .integer(retention.scriptAge), 1000,
        ]
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
        let lease = Lease(id: job.id, token: job.token)
        let allowed = job.options.attempts ?? options.attempts
        switch outcome {
        case .completed(let result):
            return Ending(
                lease: lease,
                kind: .completed,
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
            return Ending(lease: lease, kind: .wait)
        }
    }

    /// At least a millisecond, or a job that is put off for no time would spin.
    static func snoozing(_ job: Job, for delay: Duration) -> Ending {
        Ending(lease: Lease(id: job.id, token: job.token), kind: .snooze, delay: max(delay, .milliseconds(1)))
    }

    private static func failing(_ job: Job, _ reason: String, isExhausted: Bool, _ options: ConsumerOptions) -> Ending {
        Ending(
            lease: Lease(id: job.id, token: job.token),
            kind: .failed,
            value: reason,
            stacktrace: job.stacktrace(adding: reason),
            flag: isExhausted,
            retention: job.options.keepFailed ?? options.keepFailed
        )
    }

    private static func again(_ job: Job, after delay: Duration, _ reason: String) -> Ending {
        Ending(
            lease: Lease(id: job.id, token: job.token),
            kind: delay.milliseconds > 0 ? .delay : .retry,
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
