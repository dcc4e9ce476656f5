package import Redis

/// Looks into one queue and changes what is in it, as dashboards do.
package struct QueueControl: Sendable {
    /// A state that a job can be found in.
    package enum State: String, Sendable, CaseIterable {
        case waiting, active, delayed, completed, failed
    }

    private let redis: Redis
    private let queue: QueueName
    /// So many jobs are moved or removed by one call: more would hold Redis up for too long.
    private static let chunk = 500

    package init(redis: Redis, prefix: String = "bull", queue: String) {
        self.redis = redis
        self.queue = QueueName(prefix: prefix, name: queue)
    }

    /// The names of all queues that have ever had a job or a worker.
    package static func names(redis: Redis, prefix: String = "bull") async throws(RedisError) -> [String] {
        var names: Set<String> = []
        var cursor = "0"
        repeat {
            let answer = try await redis.command([
                "SCAN", .string(cursor), "MATCH", .string("\(prefix):*:meta"), "COUNT", 1000,
            ])
            guard let parts = answer.array, parts.count == 2, let next = parts[0].text else { break }
            for key in (parts[1].array ?? []).compactMap(\.text) {
                let name = key.dropFirst(prefix.count + 1).dropLast(":meta".count)
                if !name.contains(":") { names.insert(String(name)) }
            }
            cursor = next
        } while cursor != "0"
        return names.sorted()
    }

    // MARK: Looking

    /// Jobs of a state: waiting and delayed ones in the order in which they come, finished ones the newest first.
    package func jobs(_ state: State, from first: Int = 0, count: Int) async throws(RedisError) -> [JobRecord] {
        let answer = try await redis.evaluate(
            Scripts.findJobs,
            keys: [queue.base],
            arguments: [.string(state.rawValue), .integer(Int64(first)), .integer(Int64(count))]
        )
        return (answer.array ?? []).compactMap { entry in
            guard let parts = entry.array, parts.count == 2, let id = parts[0].text else { return nil }
            return JobRecord(id: id, state: state.rawValue, fields: parts[1].pairs)
        }
    }

    /// One job, whatever its state; `nil` when there is none of this id.
    package func job(_ id: String) async throws(RedisError) -> JobRecord? {
        let answer = try await redis.evaluate(Scripts.findJob, keys: [queue.base], arguments: [.string(id)])
        guard let parts = answer.array, parts.count == 2, let state = parts[0].text else { return nil }
        return JobRecord(id: id, state: state, fields: parts[1].pairs)
    }

    /// What a job has written to its log, oldest first.
    package func log(of id: String) async throws(RedisError) -> [String] {
        let answer = try await redis.command(["LRANGE", .string(queue.base + id + ":logs"), 0, -1])
        return (answer.array ?? []).compactMap(\.text)
    }

    // MARK: Notes of a running job

    /// Notes how far a job has come, as JSON; false when it is gone.
    @discardableResult
    package func progress(_ json: String, of id: String) async throws(RedisError) -> Bool {
        try await redis.evaluate(
            Scripts.noteJob,
            keys: [queue.base],
            arguments: [.string(id), "progress", .string(json), 0]
        ).integer == 1
    }

    /// Adds a line to the log of a job, of which the newest `keeping` stay; false when it is gone.
    @discardableResult
    package func log(_ line: String, of id: String, keeping: Int = 1000) async throws(RedisError) -> Bool {
        try await redis.evaluate(
            Scripts.noteJob,
            keys: [queue.base],
            arguments: [.string(id), "log", .string(line), .integer(Int64(max(1, keeping)))]
        ).integer == 1
    }

    // MARK: Changing

    /// Nobody takes jobs until ``resume()``; what runs goes on, and jobs can be added. False when it was paused.
    @discardableResult
    package func pause() async throws(RedisError) -> Bool {
        try await redis.evaluate(Scripts.pauseQueue, keys: [queue.base], arguments: ["pause"]).integer == 1
    }

    /// Lets workers take jobs again, those too that an older client put aside. False when it was not paused.
    @discardableResult
    package func resume() async throws(RedisError) -> Bool {
        try await redis.evaluate(Scripts.pauseQueue, keys: [queue.base], arguments: ["resume"]).integer == 1
    }

    /// How many jobs of the queue may run at once, whoever runs them; `nil` sets no bound.
    package func limitConcurrency(to most: Int?) async throws(RedisError) {
        let meta = RedisArgument.string(queue.base + "meta")
        if let most {
            _ = try await redis.command(["HSET", meta, "concurrency", .integer(Int64(max(1, most)))])
        } else {
            _ = try await redis.command(["HDEL", meta, "concurrency"])
        }
    }

    /// How many jobs of the queue may start in a time, whoever runs them; `nil` sets no bound.
    package func limitRate(to limit: (most: Int, per: Duration)?) async throws(RedisError) {
        let meta = RedisArgument.string(queue.base + "meta")
        if let limit {
            _ = try await redis.command([
                "HSET", meta, "max", .integer(Int64(max(1, limit.most))), "duration",
                .integer(max(1, limit.per.milliseconds)),
            ])
        } else {
            _ = try await redis.command(["HDEL", meta, "max", "duration"])
        }
    }

    /// Makes failed or completed jobs run again, or delayed ones run now.
    ///
    /// - Parameters:
    ///   - state: `failed`, `completed` or `delayed`.
    ///   - ids: of which jobs; `nil` for all that are in the state now.
    /// - Returns: how many there were.
    /// - Throws: ``RedisError``; any number may have been moved then.
    package func runAgain(_ state: State, _ ids: [String]? = nil) async throws(RedisError) -> Int {
        if let ids {
            var moved = 0
            for start in stride(from: 0, to: ids.count, by: Self.chunk) {
                let part = ids[start..<min(start + Self.chunk, ids.count)]
                moved += try await move(state, Self.chunk, Array(part))
            }
            return moved
        }
        // Those that fail again meanwhile are not taken a second time.
        var left = Int(try await redis.command(["ZCARD", .string(queue.base + state.rawValue)]).integer ?? 0)
        var moved = 0
        while left > 0 {
            let part = try await move(state, min(left, Self.chunk), [])
            guard part > 0 else { break }
            moved += part
            left -= part
        }
        return moved
    }

    private func move(_ state: State, _ most: Int, _ ids: [String]) async throws(RedisError) -> Int {
        let answer = try await redis.evaluate(
            Scripts.moveJobs,
            keys: [queue.base],
            arguments: [.string(state.rawValue), .integer(Int64(most))] + ids.map { .string($0) }
        )
        return Int(answer.integer ?? 0)
    }

    /// Removes jobs by their ids, except those that run and a scheduler's next; returns how many.
    package func remove(_ ids: [String]) async throws(RedisError) -> Int {
        var removed = 0
        for start in stride(from: 0, to: ids.count, by: Self.chunk) {
            let part = ids[start..<min(start + Self.chunk, ids.count)]
            removed += try await remove("ids", before: 0, Array(part))
        }
        return removed
    }

    /// Removes every job of a state, except a scheduler's next.
    ///
    /// - Parameters:
    ///   - state: any but `active`.
    ///   - age: of finished jobs, only those that finished at least so long ago.
    ///   - now: in milliseconds since 1970.
    /// - Returns: how many there were.
    /// - Throws: ``RedisError``; any number may have been removed then.
    package func removeAll(_ state: State, olderThan age: Duration = .zero, now: Int64) async throws(RedisError) -> Int
    {
        guard state != .active else { return 0 }
        let isAged = age > .zero && (state == .completed || state == .failed)
        var removed = 0
        while true {
            let part = try await remove(state.rawValue, before: isAged ? now - age.milliseconds : 0, [])
            guard part > 0 else { return removed }
            removed += part
        }
    }

    private func remove(_ what: String, before: Int64, _ ids: [String]) async throws(RedisError) -> Int {
        let answer = try await redis.evaluate(
            Scripts.removeJobs,
            keys: [queue.base],
            arguments: [.string(what), .integer(Int64(Self.chunk)), .integer(before)] + ids.map { .string($0) }
        )
        return Int(answer.integer ?? 0)
    }
}
