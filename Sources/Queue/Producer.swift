import Foundation
package import Redis

/// Adds jobs to queues that any BullMQ worker can serve.
package struct Producer: Sendable {
    let redis: Redis
    /// What the keys of all queues begin with.
    package let prefix: String

    package init(redis: Redis, prefix: String = "bull") {
        self.redis = redis
        self.prefix = prefix
    }

    /// Adds one job and returns its id once Redis has taken it.
    ///
    /// - Throws: ``RedisError``; when it `isUnavailable`, the job may have been added or not.
    @discardableResult
    package func add(_ job: NewJob, to queue: String) async throws(RedisError) -> String {
        try await addChunk([job], to: queue)[0]
    }

    /// Adds jobs in their order and returns their ids; of one that its deduplication holds off, the id of the other.
    ///
    /// Each hundred is added in one step; a later one may fail when earlier ones were already added.
    ///
    /// - Throws: ``RedisError``; when it `isUnavailable`, any number of the jobs may have been added.
    @discardableResult
    package func add(_ jobs: [NewJob], to queue: String) async throws(RedisError) -> [String] {
        // A hundred take Redis one or two milliseconds, in which it serves nobody else.
        let chunk = 100
        guard jobs.count > chunk else { return try await addChunk(jobs[...], to: queue) }
        var ids: [String] = []
        ids.reserveCapacity(jobs.count)
        for start in stride(from: 0, to: jobs.count, by: chunk) {
            ids += try await addChunk(jobs[start..<min(start + chunk, jobs.count)], to: queue)
        }
        return ids
    }

    private func addChunk(_ jobs: ArraySlice<NewJob>, to queue: String) async throws(RedisError) -> [String] {
        guard !jobs.isEmpty else { return [] }
        guard !queue.isEmpty, !queue.contains(":") else {
            throw RedisError(kind: .configuration, message: "the queue's name \"\(queue)\" is empty or has a colon")
        }
        var arguments: [RedisArgument] = []
        arguments.reserveCapacity(jobs.count * 10)
        for job in jobs {
            guard job.hasUsableId else {
                throw RedisError(
                    kind: .configuration,
                    message: "the job id \"\(job.id ?? "")\" is empty, a number, reserved or contains a colon"
                )
            }
            arguments += [
                .string(job.name), .string(job.data), .string(job.options), .string(job.id ?? ""),
                .integer(job.delay?.milliseconds ?? 0), .integer(Int64(job.priority)), job.lifo ? "1" : "",
                .string(job.organisation?.uuidString.lowercased() ?? ""), .string(job.trace ?? ""),
                .string(job.rate?.json ?? ""),
            ]
        }
        let answer = try await redis.evaluate(
            Scripts.addJobs,
            keys: [QueueName(prefix: prefix, name: queue).base],
            arguments: arguments
        )
        let ids = answer.array?.compactMap(\.string) ?? []
        guard ids.count == jobs.count else {
            throw RedisError(kind: .server, message: "the add of \(jobs.count) jobs answered \(answer)")
        }
        return ids
    }
}
