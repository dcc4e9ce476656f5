import Logging
import Redis
import Synchronization

/// The runs of a consumer: from fetched jobs to the endings that are to be written.
extension Consumer {
    /// Begins as many calls of the handler as the jobs need, or gives the jobs back when the consumer is stopping; returns
    /// how many it began.
    func begin(_ jobs: [Job]) -> Int {
        guard !jobs.isEmpty else { return 0 }
        return state.withLock { state in
            guard state.phase == .running else {
                state.release(jobs)
                return 0
            }
            var begun = 0
            for start in stride(from: 0, to: jobs.count, by: options.batch) {
                let part = Array(jobs[start..<min(start + options.batch, jobs.count)])
                let isQuarantined = part.contains { $0.stalledCount > 0 && $0.deferredFailure == nil }
                state.start(part, isQuarantined: isQuarantined) { run in
                    Task { await self.perform(part, run: run, isQuarantined: isQuarantined) }
                }
                begun += 1
            }
            return begun
        }
    }

    private func perform(_ jobs: [Job], run: Int, isQuarantined: Bool) async {
        for job in jobs where job.scheduler != nil { await advance(job) }
        guard isQuarantined else {
            return finish(run, await endings(of: jobs))
        }
        guard await Quarantine.shared.enter() else {
            return finish(run, jobs.map { Ending($0, .wait) })
        }
        let stay = Task {
            // Cancelled when the run is over: then the stay ends early.
            try? await Task.sleep(for: options.quarantine)
            Quarantine.shared.leave()
            state.withLock { $0.leaveQuarantine(run) }
            turnSignal.raise()
        }
        defer { stay.cancel() }
        guard state.withLock({ $0.beginQuarantined(run) }) else {
            return finish(run, jobs.map { Ending($0, .wait) })
        }
        finish(run, await endings(of: jobs))
    }

    /// Makes the next job of the scheduler that made this one; where that fails, the next repair does.
    private func advance(_ job: Job) async {
        guard let scheduler = job.scheduler else { return }
        do throws(RedisError) {
            guard let pattern = try await schedulers.advance(scheduler, after: job.id) else { return }
            logger.error(
                "a schedule ends here: its pattern or time zone can't be read",
                metadata: ["scheduler": "\(scheduler)", "pattern": "\(pattern)"]
            )
        } catch {
            logger.warning(
                "a schedule waits for its repair",
                metadata: ["scheduler": "\(scheduler)", "error": "\(error)"]
            )
        }
    }

    private func finish(_ run: Int, _ endings: [Ending]) {
        state.withLock { $0.finish(run, endings) }
        lane?.give(1)
        turnSignal.raise()
    }

    /// Runs the handler and decides how each job ends; one with a deferred failure fails without running.
    private func endings(of jobs: [Job]) async -> [Ending] {
        let runnable = jobs.filter { $0.deferredFailure == nil }
        var outcomes = runnable.isEmpty ? [] : await handle(runnable)
        if outcomes.count != runnable.count {
            let reason = "the handler answered \(outcomes.count) outcomes for \(runnable.count) jobs"
            logger.error("\(reason)")
            outcomes = runnable.map { _ in .failed(reason: reason) }
        }
        var endings = zip(runnable, outcomes).map { job, outcome in
            (job, Ending.deciding(job, outcome, options, random: .random(in: 0..<1)))
        }
        for job in jobs {
            guard let failure = job.deferredFailure else { continue }
            endings.append((job, Ending.deciding(job, .discard(reason: failure), options, random: 0)))
        }
        return await recordingExhausted(endings)
    }

    /// Gives final failures to the hook before they are written; those that it refuses come again later.
    private func recordingExhausted(_ endings: [(job: Job, ending: Ending)]) async -> [Ending] {
        let final = endings.filter { $0.ending.kind == .failed }
        guard let onExhausted, !final.isEmpty else { return endings.map(\.ending) }
        do {
            try await onExhausted(final.map { ($0.job, $0.ending.value) })
            return endings.map(\.ending)
        } catch {
            logger.error(
                "final failures could not be recorded; their jobs come again",
                metadata: ["jobs": "\(final.map(\.job.id))", "error": "\(error)"]
            )
            return endings.map { job, ending in
                ending.kind == .failed ? .snoozing(job, for: options.exhaustedRetry) : ending
            }
        }
    }
}
