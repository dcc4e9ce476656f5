/// How a consumer works through its queue.
package struct ConsumerOptions: Sendable {
    /// How many calls of the handler run at once.
    package var concurrency: Int
    /// How many jobs one call of the handler gets at most; it gets fewer rather than wait for more.
    package var batch: Int
    /// How often a job may be started that does not say so itself.
    package var attempts: Int
    /// The delay between attempts of a job that does not say so itself; `nil` tries again at once.
    package var backoff: Backoff?
    /// How long a job belongs to a worker that has died; renewed three times in that time.
    package var lockDuration: Duration
    /// How often jobs of dead workers are looked for: they run again one or two intervals after their lock has expired.
    package var stalledInterval: Duration
    /// What is kept of jobs that do not say so themselves.
    package var keepCompleted: Retention
    package var keepFailed: Retention
    /// How many runnable jobs of one organisation stand in the queue itself; more of them wait beside it until it is their
    /// turn, so that they hold up nobody else. `nil` keeps no such order.
    package var share: Int?
    /// Of how many minutes the numbers of finished jobs are kept for dashboards; 0 keeps none.
    package var metricsMinutes: Int
    /// For how long a job that has stalled before runs alone, in case it brings its worker down again: this consumer
    /// starts nothing beside it, and no other consumer of the process starts another such job.
    package var quarantine: Duration
    /// How many jobs may start in a time, all workers of the queue together; a bound of the queue itself goes before it, but
    /// its time before the queue's.
    package var rate: (most: Int, per: Duration)?
    /// How many bytes of completed jobs stay, and how many of failed ones: the oldest go when there are more, looked at once
    /// a minute. `nil` sets no bound.
    package var keepBytes: Int?
    /// How soon a job is tried again whose final failure could not be recorded by `onExhausted`.
    package var exhaustedRetry: Duration

    package init(
        concurrency: Int = 1,
        batch: Int = 1,
        attempts: Int = 1,
        backoff: Backoff? = nil,
        lockDuration: Duration = .seconds(30),
        stalledInterval: Duration = .seconds(30),
        keepCompleted: Retention = Retention(count: 1000, age: .seconds(3600)),
        keepFailed: Retention = Retention(count: 10_000, age: .seconds(14 * 86_400)),
        share: Int? = 20,
        metricsMinutes: Int = 0,
        quarantine: Duration = .seconds(5),
        rate: (most: Int, per: Duration)? = nil,
        keepBytes: Int? = 256 << 20,
        exhaustedRetry: Duration = .seconds(5)
    ) {
        self.concurrency = max(1, concurrency)
        self.batch = max(1, batch)
        self.attempts = max(1, attempts)
        self.backoff = backoff
        self.lockDuration = lockDuration
        self.stalledInterval = stalledInterval
        self.keepCompleted = keepCompleted
        self.keepFailed = keepFailed
        self.share = share.map { max(1, $0) }
        self.metricsMinutes = max(0, metricsMinutes)
        self.quarantine = quarantine
        self.rate = rate
        self.keepBytes = keepBytes
        self.exhaustedRetry = exhaustedRetry
    }
}
