package import Redis

/// How many jobs of a queue are in each state.
package struct QueueCounts: Sendable, Equatable {
    package let wait: Int
    package let active: Int
    package let delayed: Int
    package let prioritized: Int
    package let completed: Int
    package let failed: Int
    /// Since when the next runnable job has been runnable; `nil` when none is.
    package let oldestWaitingAge: Duration?
    package let isPaused: Bool
    /// Those of ``delayed`` whose time has come: the next worker moves them.
    package let due: Int

    /// The jobs that want a worker now. Those of a paused queue don't, but for what runs already.
    package var backlog: Int { isPaused ? active : wait + prioritized + active + due }
}

/// Looks at queues without touching them.
package struct QueueInspector: Sendable {
    private let redis: Redis
    private let prefix: String

    package init(redis: Redis, prefix: String = "bull") {
        self.redis = redis
        self.prefix = prefix
    }

    /// Counts the jobs of a queue; one that was never used has none.
    package func counts(_ queue: String) async throws(RedisError) -> QueueCounts {
        let answer = try await redis.evaluate(
            Scripts.countJobs,
            keys: [QueueName(prefix: prefix, name: queue).base],
            arguments: []
        )
        let numbers = answer.array?.compactMap(\.integer).map(Int.init) ?? []
        guard numbers.count == 9 else {
            throw RedisError(kind: .server, message: "the count of \(queue) answered \(answer)")
        }
        return QueueCounts(
            wait: numbers[0],
            active: numbers[1],
            delayed: numbers[2],
            prioritized: numbers[3],
            completed: numbers[4],
            failed: numbers[5],
            oldestWaitingAge: numbers[6] < 0 ? nil : .milliseconds(numbers[6]),
            isPaused: numbers[7] == 1,
            due: numbers[8]
        )
    }
}
