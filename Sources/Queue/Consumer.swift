import Foundation
package import Logging
package import Redis
import Synchronization

/// Works through one queue: fetches jobs, runs them and writes how they ended, until it is stopped.
///
/// A job belongs to this consumer while its lock is renewed, which no handler can starve. When a lock is lost all the
/// same, because Redis says that it is another's, the run is cancelled and nothing is written for it. When Redis is
/// away, what has ended is kept and written when it is back; the consumer tries again for ever.
///
/// Handlers run at once up to `concurrency`; each gets up to `batch` jobs, which ended runs make room for. One that
/// brings its process down costs an attempt: its jobs come again, each of them alone, until their attempts are used up.
package final class Consumer: Sendable {
    package typealias Handler = @Sendable ([Job]) async -> [JobOutcome]
    package typealias ExhaustedHook = @Sendable ([(Job, String)]) async throws -> Void

    let redis: Redis
    let queue: QueueName
    let options: ConsumerOptions
    let logger: Logger
    let onExhausted: ExhaustedHook?
    let handle: Handler
    /// Tells the tokens of this consumer from those of all others.
    let identity = UUID().uuidString.lowercased()
    let state = Mutex(ConsumerState())
    /// Something ended, or something may be runnable.
    let turnSignal = Signal()
    /// Waits for the queue's marker when there is room and nothing to run.
    let watch: MarkerWatch
    /// The slots that handlers run in, where a process has fewer than its queues could use.
    let lane: Lane?
    /// Whether the watch is this consumer's own, and runs with it.
    private let ownsWatch: Bool

    /// Makes a consumer that does nothing before ``run()``.
    ///
    /// - Parameters:
    ///   - redis: the client; one serves any number of consumers.
    ///   - prefix: what all keys of all queues begin with.
    ///   - queue: the queue's name, without a colon.
    ///   - options: how it works.
    ///   - watch: shared by consumers of many queues, run by who made it; `nil` for one of this consumer's own.
    ///   - lane: its place among the queues of the process; `nil` where it need not share.
    ///   - logger: gets the queue's name as metadata.
    ///   - onExhausted: called with jobs and the reasons of their failure before they are written as failed for good.
    ///     When it throws, they are not, and come again after `exhaustedRetry`.
    ///   - handle: answers one outcome for each job, in their order. It is cancelled when its jobs are no longer ours.
    package init(
        redis: Redis,
        prefix: String = "bull",
        queue: String,
        options: ConsumerOptions = ConsumerOptions(),
        watch: MarkerWatch? = nil,
        lane: Lane? = nil,
        logger: Logger,
        onExhausted: ExhaustedHook? = nil,
        handle: @escaping Handler
    ) {
        var logger = logger
        logger[metadataKey: "queue"] = "\(queue)"
        self.redis = redis
        self.queue = QueueName(prefix: prefix, name: queue)
        self.options = options
        self.lane = lane
        ownsWatch = watch == nil
        // The name by which dashboards find the workers of a queue in CLIENT LIST.
        self.watch = watch ?? MarkerWatch(redis: redis, name: "\(prefix):\(Data(queue.utf8).base64EncodedString())")
        self.logger = logger
        self.onExhausted = onExhausted
        self.handle = handle
    }

    var schedulers: JobSchedulers { JobSchedulers(redis: redis, queue: queue) }

    /// The ids of the jobs that handlers have now.
    package var inFlight: [String] {
        state.withLock { $0.runs.values.filter { !$0.isWaiting }.flatMap { $0.jobs.map(\.id) } }
    }

    /// Works until ``stop()``, or until the task is cancelled; once only.
    ///
    /// Cancelling cancels the handlers too. How they end is still written if Redis answers at once; the locks of all
    /// other jobs lapse, and another worker takes them up.
    package func run() async {
        guard state.withLock({ $0.begin() }) else { return }
        let work = Task { await self.work() }
        await withTaskCancellationHandler {
            await work.value
        } onCancel: {
            leave(.cancelled)
        }
    }

    /// Stops fetching, lets what runs finish, gives back what was not begun, and returns when ``run()`` has ended.
    package func stop() async {
        leave(.stopping)
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard state.phase != .ended, state.phase != .new else { return true }
                state.awaitingEnd.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    private func leave(_ phase: ConsumerState.Phase) {
        let tasks = state.withLock { $0.leave(phase) }
        for task in tasks { task.cancel() }
        turnSignal.raise()
    }

    private func work() async {
        lane?.onFree { [weak self] in self?.turnSignal.raise() }
        await withDiscardingTaskGroup { group in
            group.addTask(executorPreference: DedicatedThread.shared) { await self.keepLocks() }
            group.addTask(executorPreference: DedicatedThread.shared) { await self.recoverStalledJobs() }
            if ownsWatch { group.addTask { await self.watch.run() } }
            await takeTurns()
            group.cancelAll()
        }
        watch.leave(queue.marker)
        for continuation in state.withLock({ $0.end() }) { continuation.resume() }
    }
}
