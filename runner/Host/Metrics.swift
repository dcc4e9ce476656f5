import Foundation
import Synchronization

/// Counts and times of every function, printed in Prometheus' text format.
package final class Metrics: Sendable {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Upper bounds in seconds.
    static let bounds: [Double] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    private struct Series {
        var buckets = [Int](repeating: 0, count: Metrics.bounds.count + 1)
        var sum = 0.0
        var count: Int { buckets.reduce(0, +) }

        mutating func record(_ seconds: Double) {
            let index = Metrics.bounds.firstIndex { seconds <= $0 } ?? Metrics.bounds.count
            buckets[index] += 1
            sum += seconds
        }
    }

    private struct RequestKey: Hashable {
        let function: String
        let status: Int
    }

    private struct State {
        var requests: [RequestKey: Int] = [:]
        var latencies: [String: Series] = [:]
        var jobs: [RequestKey: Int] = [:]
        var jobTimes: [String: Series] = [:]
    }

    private let state = Mutex(State())
    private let started = Date()

    package init() {}

    package func request(_ function: String, status: Int, seconds: Double) {
        state.withLock {
            $0.requests[RequestKey(function: function, status: status), default: 0] += 1
            $0.latencies[function, default: Series()].record(seconds)
        }
    }

    /// Notes one call of a worker and how its jobs ended.
    func jobs(_ function: String, done: Int, failed: Int, seconds: Double) {
        state.withLock {
            $0.jobs[RequestKey(function: function, status: 0), default: 0] += done
            $0.jobs[RequestKey(function: function, status: 1), default: 0] += failed
            $0.jobTimes[function, default: Series()].record(seconds)
        }
    }

    /// The whole page; `gauges` are asked for at this moment (pool, queues).
    package func text(gauges: [Gauge]) -> String {
        let state = state.withLock { $0 }
        var text = ""
        func head(_ name: String, _ type: String, _ help: String) {
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
        }
        head("delightchat_requests_total", "counter", "Requests by function and status.")
        for (key, count) in state.requests.sorted(by: {
            ($0.key.function, $0.key.status) < ($1.key.function, $1.key.status)
        }) {
            text += "delightchat_requests_total{function=\"\(key.function)\",status=\"\(key.status)\"} \(count)\n"
        }
        head("delightchat_request_seconds", "histogram", "Time from head to answer by function.")
        for (function, series) in state.latencies.sorted(by: { $0.key < $1.key }) {
            text += histogram("delightchat_request_seconds", function, series)
        }
        head("delightchat_jobs_total", "counter", "Runs of jobs by function and outcome.")
        for (key, count) in state.jobs.sorted(by: {
            ($0.key.function, $0.key.status) < ($1.key.function, $1.key.status)
        }) {
            let outcome = key.status == 0 ? "done" : "failed"
            text += "delightchat_jobs_total{function=\"\(key.function)\",outcome=\"\(outcome)\"} \(count)\n"
        }
        head("delightchat_job_seconds", "histogram", "Time of a call of a worker, batches as one, by function.")
        for (function, series) in state.jobTimes.sorted(by: { $0.key < $1.key }) {
            text += histogram("delightchat_job_seconds", function, series)
        }
        for (name, gauges) in Dictionary(grouping: gauges, by: \.name).sorted(by: { $0.key < $1.key }) {
            head(name, "gauge", gauges.first?.help ?? "")
            for gauge in gauges {
                let labels = gauge.labels.map { "\($0.name)=\"\($0.value)\"" }.joined(separator: ",")
                text += "\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(gauge.value)\n"
            }
        }
        head("process_start_time_seconds", "gauge", "Start of the process in Unix time.")
        text += "process_start_time_seconds \(started.timeIntervalSince1970)\n"
        return text
    }

    private func histogram(_ name: String, _ function: String, _ series: Series) -> String {
        var text = ""
        var total = 0
        for (index, bound) in Self.bounds.enumerated() {
            total += series.buckets[index]
            text += "\(name)_bucket{function=\"\(function)\",le=\"\(bound)\"} \(total)\n"
        }
        text += "\(name)_bucket{function=\"\(function)\",le=\"+Inf\"} \(series.count)\n"
        text += "\(name)_sum{function=\"\(function)\"} \(series.sum)\n"
        text += "\(name)_count{function=\"\(function)\"} \(series.count)\n"
        return text
    }
}

/// A value that is read when the page is asked for.
package struct Gauge: Sendable {
    let name: String
    let help: String
    let labels: [(name: String, value: String)]
    let value: Double

    package init(name: String, help: String, labels: [(name: String, value: String)], value: Double) {
        self.name = name
        self.help = help
        self.labels = labels
        self.value = value
    }
}
