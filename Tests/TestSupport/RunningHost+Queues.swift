import Foundation

extension RunningHost {
    /// Waits until no queue holds a job that is yet to be done, or none of some: what others do on a host that is shared goes on.
    ///
    /// - Throws: ``NeverHappened`` after `limit`.
    package func becomeIdle(_ queues: [String] = [], within limit: Duration = .seconds(180)) async throws {
        var last = ""
        _ = try await eventually(within: limit, otherwise: { last }) {
            let (jobs, told) = try await queuedJobs(queues)
            last = told
            return jobs == 0 ? true : nil
        }
    }

    /// How many jobs wait, run or are put off, of all queues or some, and in which words that was told.
    private func queuedJobs(_ queues: [String]) async throws -> (Int, String) {
        ProductShape.current.isOneProcess ? try await measuredJobs(queues) : try await listedJobs(queues)
    }

    /// By `runner queues`: behind a gateway no process knows of all queues.
    private func listedJobs(_ queues: [String]) async throws -> (Int, String) {
        let prefix = environment["QUEUE_PREFIX"].map { "QUEUE_PREFIX='\($0)' " } ?? ""
        let list = try await Command.shell(
            "\(prefix)REDIS_URL='\(redisURL)' '\(Checkout.executable)' queues list --json -f '\(ProductProcesses.manifest)'"
        )
        // Redis is away, which is no sign of rest.
        guard list.status == 0 else { return (.max, list.errors) }
        let all = try JSONSerialization.jsonObject(with: Data(list.output.utf8)) as? [[String: Any]] ?? []
        var sum = 0
        for queue in all {
            guard let name = queue["queue"] as? String, name != "schedules", queues.isEmpty || queues.contains(name)
            else { continue }
            for state in ["waiting", "active", "delayed"] { sum += queue[state] as? Int ?? 0 }
        }
        return (sum, list.output)
    }

    /// By the host's own figures.
    private func measuredJobs(_ queues: [String]) async throws -> (Int, String) {
        let answer = try await api.get("/metrics")
        guard answer.status == 200 else { throw UnexpectedAnswer(answer) }
        let lines = answer.text.split(separator: "\n").filter { $0.hasPrefix("delightchat_queue_jobs{") }
        // None while Redis is away, which is no sign of rest.
        guard !lines.isEmpty else { return (.max, "no queues") }
        var sum = 0
        for line in lines {
            guard !line.contains("state=\"failed\""),
                queues.isEmpty || queues.contains(where: { line.contains("queue=\"\($0)\"") }),
                let value = line.split(separator: " ").last.flatMap({ Double($0) })
            else { continue }
            sum += Int(value)
        }
        return (sum, lines.joined(separator: "\n"))
    }
}
