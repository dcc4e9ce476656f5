/// What a consumer has in hand; every change of it is one step under its mutex.
struct ConsumerState {
    enum Phase: Comparable {
        case new, running, stopping, cancelled, ended
    }

    /// One call of the handler.
    struct Run {
        let jobs: [Job]
        let task: Task<Void, Never>
        /// Still waiting for its turn in quarantine: nothing has begun.
        var isWaiting: Bool
    }

    struct Held {
        let run: Int
        /// When its lock was set last.
        var renewed: ContinuousClock.Instant
        /// The run has ended; what is left is to write it.
        var isEnding = false
    }

    private(set) var phase = Phase.new
    private(set) var runs: [Int: Run] = [:]
    /// Every run of a job from its fetch until its ending is written, or until its lock is lost.
    private(set) var leases: [Lease: Held] = [:]
    /// What is to be written, oldest first.
    private(set) var endings: [Ending] = []
    var awaitingEnd: [CheckedContinuation<Void, Never>] = []
    private var nextRun = 0
    /// The run beside which nothing is started.
    private var quarantined: Int?

    mutating func begin() -> Bool {
        guard phase == .new else { return false }
        phase = .running
        return true
    }

    /// Returns the tasks to cancel: all of them, or those that have begun nothing.
    mutating func leave(_ next: Phase) -> [Task<Void, Never>] {
        if phase == .new {
            phase = .ended
        } else if phase < next {
            phase = next
        }
        return runs.values.filter { phase == .cancelled || $0.isWaiting }.map(\.task)
    }

    mutating func end() -> [CheckedContinuation<Void, Never>] {
        phase = .ended
        defer { awaitingEnd = [] }
        return awaitingEnd
    }

    var isDone: Bool { phase >= .stopping && runs.isEmpty && endings.isEmpty }

    /// How many jobs could be started now.
    func room(_ options: ConsumerOptions) -> Int {
        guard phase == .running, quarantined == nil else { return 0 }
        return max(0, options.concurrency - runs.count) * options.batch
    }

    mutating func takeEndings(atMost count: Int) -> [Ending] {
        defer { endings.removeFirst(min(count, endings.count)) }
        return Array(endings.prefix(count))
    }

    /// Endings that were not written, before those that came since.
    mutating func putBack(_ unwritten: [Ending]) {
        endings = unwritten + endings
    }

    mutating func forget(_ lease: Lease) {
        leases[lease] = nil
    }

    /// Registers a call of the handler and begins it; `make` is given its number.
    mutating func start(_ jobs: [Job], isQuarantined: Bool, make: (Int) -> Task<Void, Never>) {
        nextRun += 1
        let now = ContinuousClock.now
        for job in jobs { leases[Lease(job)] = Held(run: nextRun, renewed: now) }
        if isQuarantined { quarantined = nextRun }
        runs[nextRun] = Run(jobs: jobs, task: make(nextRun), isWaiting: isQuarantined)
        if phase == .cancelled { runs[nextRun]?.task.cancel() }
    }

    /// Gives jobs back that were fetched but will not begin; the last one first, so that they stand as they stood.
    mutating func release(_ jobs: [Job]) {
        for job in jobs.reversed() {
            leases[Lease(job)] = Held(run: 0, renewed: .now, isEnding: true)
            endings.append(Ending(job, .wait))
        }
    }

    mutating func leaveQuarantine(_ run: Int) {
        if quarantined == run { quarantined = nil }
    }

    /// Whether a quarantined run may begin now that its turn has come.
    mutating func beginQuarantined(_ run: Int) -> Bool {
        guard phase == .running else { return false }
        runs[run]?.isWaiting = false
        return true
    }

    /// Takes the outcome of a run; jobs whose lock was lost meanwhile are left out.
    mutating func finish(_ run: Int, _ ended: [Ending]) {
        runs[run] = nil
        leaveQuarantine(run)
        for ending in ended where leases[ending.lease] != nil {
            leases[ending.lease]?.isEnding = true
            endings.append(ending)
        }
    }

    /// The leases whose lock was set before an instant.
    func leases(renewedBefore limit: ContinuousClock.Instant) -> [Lease] {
        leases.filter { $0.value.renewed <= limit }.map(\.key)
    }

    mutating func markRenewed(_ renewed: some Sequence<Lease>, at instant: ContinuousClock.Instant) {
        for lease in renewed { leases[lease]?.renewed = instant }
    }

    /// Drops locks that are another's now; returns the leases that were still running and the tasks left without any.
    mutating func lose(_ lost: [Lease]) -> (lost: [Lease], tasks: [Task<Void, Never>]) {
        let running = lost.filter { leases[$0]?.isEnding == false }
        let affected = Set(running.compactMap { leases[$0]?.run })
        for lease in running { leases[lease] = nil }
        let left = Set(leases.values.map(\.run))
        return (running, affected.subtracting(left).compactMap { runs[$0]?.task })
    }
}

extension Lease {
    init(_ job: Job) {
        self.init(id: job.id, token: job.token)
    }
}
