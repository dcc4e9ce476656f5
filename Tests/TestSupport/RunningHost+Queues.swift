import Foundation

extension RunningHost {
    /// Waits until no queue holds a job that is yet to be done.
    ///
    /// - Throws: ``NeverHappened`` after `limit`.
    package func becomeIdle(within limit: Duration = .seconds(60)) async throws {
        var last = ""
        _ = try await eventually(within: limit, otherwise: { last }) {
            let answer = try await api.get("/metrics")
            last = answer.text.split(separator: "\n").filter { $0.hasPrefix("delightchat_queue_jobs{") }
                .joined(separator: "\n")
            return try await waitingJobs() == 0 ? true : nil
        }
    }

    /// How many jobs wait, run or are put off, of all queues, by the host's own figures.
    package func waitingJobs() async throws -> Int {
        let answer = try await api.get("/metrics")
        guard answer.status == 200 else { throw UnexpectedAnswer(answer) }
        let lines = answer.text.split(separator: "\n").filter { $0.hasPrefix("delightchat_queue_jobs{") }
        // None while Redis is away, which is no sign of rest.
        guard !lines.isEmpty else { return .max }
        var sum = 0
        for line in lines {
            guard !line.contains("state=\"failed\""),
                let value = line.split(separator: " ").last.flatMap({ Double($0) })
            else { continue }
            sum += Int(value)
        }
        return sum
    }
}
