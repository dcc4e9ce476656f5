/// How the run of a job ended, as its handler sees it.
package enum JobOutcome: Sendable, Equatable {
    /// Done; the result is JSON text, `nil` stands for `null`.
    case completed(result: String? = nil)
    /// Tried again after the backoff until the attempts are used up, then failed for good.
    case failed(reason: String)
    /// Failed for good at once.
    case discard(reason: String)
    /// Tried again after this time, as long as attempts are left.
    case retry(after: Duration, reason: String)
    /// Put off; counts no attempt.
    case snooze(Duration)
    /// Nothing more of the queue starts for this time; the job goes in front of the waiting ones and counts no attempt.
    ///
    /// Other clients' workers obey it where a bound of the queue's rate is set.
    case limited(Duration)
    /// Given back unrun, in front of the waiting jobs; counts no attempt.
    case released
}
