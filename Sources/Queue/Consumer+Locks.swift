import Logging
import Redis
import Synchronization

/// What keeps jobs with the worker that runs them, and takes them from one that has died. It runs on a thread of its own.
extension Consumer {
    func keepLocks() async {
        while !Task.isCancelled {
            await DedicatedThread.shared.sleep(for: options.lockDuration / 3)
            do throws(RedisError) {
                try await renewLocks(olderThan: options.lockDuration / 6)
            } catch {
                guard error.kind != .cancelled else { return }
                logger.debug("locks were not renewed", metadata: ["error": "\(error)"])
                await DedicatedThread.shared.sleep(for: min(options.lockDuration / 10, .seconds(1)))
                // What follows the failure soon renews all of them, whatever their age.
                try? await renewLocks(olderThan: .zero)
            }
        }
    }

    /// Prolongs the locks of all jobs in hand and cancels runs that have lost theirs.
    func renewLocks(olderThan age: Duration) async throws(RedisError) {
        let leases = state.withLock { $0.leases(renewedBefore: .now - age) }
        for start in stride(from: 0, to: leases.count, by: 200) {
            let part = leases[start..<min(start + 200, leases.count)]
            var arguments: [RedisArgument] = [.integer(options.lockDuration.milliseconds)]
            for lease in part { arguments += [.string(lease.id), .string(lease.token)] }
            let now = ContinuousClock.now
            let answer = try await redis.evaluate(Scripts.renewLocks, keys: [queue.base], arguments: arguments)
            state.withLock { $0.markRenewed(part, at: now) }
            let ids = Set((answer.array ?? []).compactMap(\.text))
            guard !ids.isEmpty else { continue }
            let (lost, tasks) = state.withLock { $0.lose(part.filter { ids.contains($0.id) }) }
            for task in tasks { task.cancel() }
            guard !lost.isEmpty else { continue }
            logger.warning("locks were lost; the runs are cancelled", metadata: ["jobs": "\(lost.map(\.id))"])
        }
    }

    func recoverStalledJobs() async {
        while !Task.isCancelled {
            var pause = options.stalledInterval
            do throws(RedisError) {
                try await recoverStalled()
                try await schedulers.repair()
                if let bytes = options.keepBytes { try await keepFinished(bytes: bytes) }
            } catch {
                guard error.kind != .cancelled else { return }
                logger.debug("the check for stalled jobs failed", metadata: ["error": "\(error)"])
                pause = min(pause, .seconds(1))
            }
            await DedicatedThread.shared.sleep(for: pause)
        }
    }

    /// Looks through what finished, the newest first, once a minute for all workers of the queue.
    private func keepFinished(bytes: Int) async throws(RedisError) {
        for state in ["completed", "failed"] {
            var seen: Int64 = 0
            var sum: Int64 = 0
            repeat {
                let answer = try await redis.evaluate(
                    Scripts.keepBytes,
                    keys: [queue.base],
                    arguments: [
                        .string(state), .integer(Int64(bytes)), 200, .integer(seen), .integer(sum), 60_000,
                    ]
                )
                guard let parts = answer.array, parts.count == 2 else { break }
                (seen, sum) = (parts[0].integer ?? 0, parts[1].integer ?? 0)
            } while seen > 0
        }
    }

    private func recoverStalled() async throws(RedisError) {
        let answer = try await redis.evaluate(
            Scripts.recoverStalled,
            keys: [queue.base],
            arguments: [
                // A little less than the interval, or our next check could find this one's key and skip.
                .integer(max(1, options.stalledInterval.milliseconds * 9 / 10)), .integer(Int64(options.attempts)),
                .integer(Int64(options.share ?? 0)),
            ]
        )
        guard let parts = answer.array, parts.count == 2 else { return }
        let recovered = (parts[0].array ?? []).compactMap(\.text)
        let exhausted = (parts[1].array ?? []).compactMap(\.text)
        guard !recovered.isEmpty else { return }
        logger.warning(
            "jobs of a worker that died come again",
            metadata: ["jobs": "\(recovered)", "exhausted": "\(exhausted)"]
        )
    }
}
