package import Foundation
package import Redis

extension Producer {
    /// A time of the queue's clock, in microseconds since 1970, that no job accepted so far is later than and every later one is.
    package func acceptedSoFar(in queue: String) async throws(RedisError) -> Int64 {
        let base = QueueName(prefix: prefix, name: queue).base
        let answer = try await redis.evaluate(Self.acceptance, keys: [base], arguments: [])
        guard let text = answer.string, let time = Int64(text) else {
            throw RedisError(kind: .server, message: "the time of \(queue) answered \(answer)")
        }
        return time
    }

    private static let acceptance = RedisScript(
        name: "accepted-so-far",
        source: """
            local time = redis.call('TIME')
            local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
            return string.format('%.0f', math.max(now, tonumber(redis.call('HGET', KEYS[1] .. 'meta', 'acc') or '0')))
            """
    )

    /// Takes an organisation's jobs out of a queue because of what they hold: those that wait, that are put off, and finished
    /// ones that are kept. One that runs loses its data and ends as it will.
    ///
    /// Walks all keys of the database, so it is for rare occasions. A job that is there from beginning to end is looked at, whatever
    /// state it moves to meanwhile.
    ///
    /// - Parameters:
    ///   - queue: the queue's name.
    ///   - organisation: whose jobs; those of producers that don't say whose they are, are looked at too.
    ///   - acceptedUntil: later ones stay.
    ///   - matches: tells by a job's data.
    /// - Returns: how many.
    /// - Throws: ``RedisError``; any number of them may have been taken out then.
    @discardableResult
    package func remove(
        from queue: String,
        of organisation: UUID,
        acceptedUntil: Int64,
        where matches: (String) -> Bool
    ) async throws(RedisError) -> Int {
        let base = QueueName(prefix: prefix, name: queue).base
        let pattern = base.map { "*?[]\\".contains($0) ? "\\\($0)" : String($0) }.joined() + "*"
        let owner = organisation.uuidString.lowercased()
        var removed = 0
        var cursor = "0"
        repeat {
            let page = try await redis.command([
                "SCAN", .string(cursor), "MATCH", .string(pattern), "COUNT", "1000", "TYPE", "hash",
            ])
            guard let parts = page.array, parts.count == 2, let next = parts[0].string, let keys = parts[1].array else {
                throw RedisError(kind: .server, message: "SCAN answered \(page)")
            }
            cursor = next
            let ids = keys.compactMap(\.string).map { String($0.dropFirst(base.count)) }
                .filter { !$0.contains(":") && $0 != "meta" }
            var found: [RedisArgument] = []
            // Fifty at a time: one job's data may be megabytes.
            for start in stride(from: 0, to: ids.count, by: 50) {
                let some = ids[start..<min(start + 50, ids.count)]
                let answers = await redis.pipeline(
                    some.map { ["HMGET", .string(base + $0), "org", "acc", "timestamp", "data"] }
                )
                for (id, answer) in zip(some, answers) {
                    guard let fields = try answer.get().array, fields.count == 4, let data = fields[3].text,
                        fields[0].text ?? owner == owner,
                        Self.acceptance(fields) <= acceptedUntil, matches(data)
                    else { continue }
                    found.append(.string(id))
                }
            }
            guard !found.isEmpty else { continue }
            let answer = try await redis.evaluate(
                Scripts.removeJobs,
                keys: [base],
                arguments: ["erased", "0", "0"] + found
            )
            removed += Int(answer.integer ?? 0)
        } while cursor != "0"
        return removed
    }

    /// Our own field, or the milliseconds of other producers.
    private static func acceptance(_ fields: [RESPValue]) -> Int64 {
        fields[1].text.flatMap { Int64($0) } ?? fields[2].text.flatMap { Int64($0) }.map { $0 * 1000 } ?? 0
    }
}
