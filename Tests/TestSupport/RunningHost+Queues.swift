import Foundation

extension RunningHost {
    /// Waits until no queue holds a job that is yet to be done, or none of some: what others do on a host that is shared goes on.
    ///
    /// - Throws: ``NeverHappened`` after `limit`.
    package func becomeIdle(_ queues: [String] = [], within limit: Duration = .seconds(60)) async throws {
        var last = ""
        _ = try await eventually(within: limit, otherwise: { last }) {
            let answer = try await api.get("/metrics")
            last = answer.text.split(separator: "\n").filter { $0.hasPrefix("delightchat_queue_jobs{") }
                .joined(separator: "\n")
            return try await waitingJobs(queues) == 0 ? true : nil
        }
    }

    /// How many jobs wait, run or are put off, of all queues or some, by the host's own figures.
    package func waitingJobs(_ queues: [String] = []) async throws -> Int {
        let answer = try await api.get("/metrics")
        guard answer.status == 200 else { throw UnexpectedAnswer(answer) }
        let lines = answer.text.split(separator: "\n").filter { $0.hasPrefix("delightchat_queue_jobs{") }
        // None while Redis is away, which is no sign of rest.
        guard !lines.isEmpty else { return .max }
        var sum = 0
        for line in lines {
            guard !line.contains("state=\"failed\""),
                queues.isEmpty || queues.contains(where: { line.contains("queue=\"\($0)\"") }),
                let value = line.split(separator: " ").last.flatMap({ Double($0) })
            else { continue }
            sum += Int(value)
        }
        return sum
    }
}
