import Logging
import Redis
import Synchronization

/// The loop of a consumer: each turn writes what has ended and fetches what there is room for, in one call.
extension Consumer {
    /// How many jobs are fetched, and endings written, by one call: more would hold Redis up for too long.
    private static let callLimit = 200

    /// An answer of the script `TurnOver`.
    private struct Answer {
        let codes: [Int64]
        let jobs: [Job]
        /// Until when it is useless to ask again, unless a marker comes.
        let pause: Duration?
        let isLimited: Bool

        init?(_ answer: RESPValue, queue: String, token: String) {
            guard let parts = answer.array, parts.count == 4, let codes = parts[0].array, let jobs = parts[1].array,
                let milliseconds = parts[2].integer
            else { return nil }
            self.codes = codes.compactMap(\.integer)
            self.jobs = jobs.compactMap { Job($0, queue: queue, token: token) }
            pause = milliseconds < 0 ? nil : .milliseconds(milliseconds)
            isLimited = parts[3].string == "limited"
        }
    }

    func takeTurns() async {
        var turns = 0
        var failures = 0
        /// The token of a fetch whose answer was lost: Redis may have given us jobs that we do not know of.
        var unanswered: String?
        var lastTries = 0
        while true {
            let (isDone, isGivenUp, isRunning, room) = state.withLock { state in
                (state.isDone, state.phase == .cancelled && failures > 0, !state.runs.isEmpty, state.room(options))
            }
            // Jobs that were given to us unheard come back by themselves when their locks have run out.
            if isDone && (unanswered == nil || lastTries == 3) || isGivenUp && !isRunning { return }
            if isDone { lastTries += 1 }
            guard !isGivenUp else {
                await turnSignal.wait()
                continue
            }
            let calls = (min(room, Self.callLimit) + options.batch - 1) / options.batch
            let slots = failures > 0 ? 0 : lane?.take(calls) ?? calls
            let wanted = min(room, Self.callLimit, slots * options.batch)
            let endings = state.withLock { $0.takeEndings(atMost: Self.callLimit) }
            guard wanted > 0 || !endings.isEmpty || failures > 0 else {
                await turnSignal.wait()
                continue
            }
            turns += 1
            let token = "\(identity):\(turns)"
            do throws(RedisError) {
                if failures > 0 {
                    try await recover(unanswered)
                    unanswered = nil
                    state.withLock { $0.putBack(endings) }
                    logger.info("working again after \(failures) failed calls to Redis")
                    failures = 0
                    continue
                }
                if !endings.isEmpty {
                    // Renewals have failed for a while: what has ended would be refused with an expired lock.
                    try await renewLocks(olderThan: options.lockDuration / 2)
                }
                let answer = try await turnOver(endings, wanted: wanted, token: token)
                settle(endings, answer.codes)
                let begun = begin(answer.jobs)
                lane?.give(slots - begun, isSated: answer.jobs.count < wanted)
                if wanted > 0, answer.jobs.count < wanted { await idle(answer) }
            } catch {
                lane?.give(slots)
                state.withLock { $0.putBack(endings) }
                if wanted > 0, failures == 0 { unanswered = token }
                failures += 1
                await backOff(failures, error)
            }
        }
    }

    private func turnOver(_ endings: [Ending], wanted: Int, token: String) async throws(RedisError) -> Answer {
        var arguments: [RedisArgument] = [
            .integer(Int64(wanted)), .string(token), .integer(options.lockDuration.milliseconds),
            .integer(Int64(options.metricsMinutes)),
        ]
        if let rate = options.rate {
            arguments += [.integer(Int64(max(1, rate.most))), .integer(max(1, rate.per.milliseconds))]
        } else {
            arguments += ["", ""]
        }
        arguments += Ending.arguments(endings)
        let reply = try await redis.evaluate(Scripts.turnOver, keys: [queue.base], arguments: arguments)
        guard let answer = Answer(reply, queue: queue.name, token: token), answer.codes.count == endings.count else {
            throw RedisError(kind: .server, message: "the turn-over answered \(reply)")
        }
        return answer
    }

    /// Forgets what was written. A refused ending is dropped: the job is gone or another worker has it.
    private func settle(_ endings: [Ending], _ codes: [Int64]) {
        state.withLock { state in
            for ending in endings { state.forget(ending.lease) }
        }
        for (ending, code) in zip(endings, codes) where code != 0 {
            let meaning =
                switch code {
                case -1: "the job is gone"
                case -2: "its lock has expired"
                case -3: "it is not active"
                case -6: "another worker has it"
                case -100: "it is no job any more"
                default: "Redis refused it"
                }
            logger.warning(
                "an ending was not written: \(meaning)",
                metadata: ["job": "\(ending.lease.id)", "ending": "\(ending.kind.rawValue)", "code": "\(code)"]
            )
        }
    }

    private var hasRoom: Bool { state.withLock { $0.room(options) } > 0 }

    /// Waits until there may be something to run: a marker, a due job, an ended run, or the end of a rate's window.
    private func idle(_ answer: Answer) async {
        guard hasRoom else { return }
        if answer.isLimited {
            return await turnSignal.wait(atMost: min(answer.pause ?? MarkerWatch.wait, MarkerWatch.wait))
        }
        if answer.pause == .zero { return }
        await watch.await(
            queue.marker,
            isWanted: { [weak self] in self?.hasRoom ?? false },
            wake: { [weak self] in self?.turnSignal.raise() }
        )
        if let pause = answer.pause, pause < MarkerWatch.wait {
            await turnSignal.wait(atMost: pause)
        } else {
            await turnSignal.wait()
        }
    }

    /// After an outage: takes expired locks again, then the jobs of the fetch whose answer was lost.
    private func recover(_ unanswered: String?) async throws(RedisError) {
        try await renewLocks(olderThan: .zero)
        guard let unanswered else { return }
        let answer = try await redis.evaluate(
            Scripts.reclaimJobs,
            keys: [queue.base],
            arguments: [.string(unanswered), .integer(options.lockDuration.milliseconds)]
        )
        let begun = begin((answer.array ?? []).compactMap { Job($0, queue: queue.name, token: unanswered) })
        lane?.force(begun)
    }

    private func backOff(_ failures: Int, _ error: RedisError) async {
        if failures == 1 || !error.isUnavailable {
            let level: Logger.Level = error.isUnavailable ? .warning : .error
            logger.log(level: level, "Redis does not serve this queue; trying again", metadata: ["error": "\(error)"])
        }
        let delay = min(Duration.milliseconds(50) * (1 << min(failures - 1, 6)), .seconds(1))
        // Ends early when the consumer is cancelled; the loop looks at that itself.
        await turnSignal.wait(atMost: delay)
    }
}
