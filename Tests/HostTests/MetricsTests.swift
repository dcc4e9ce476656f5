import Foundation
import Testing

@testable import Host

@Suite struct MetricsTests {
    @Test func countsRequestsByFunctionAndStatus() {
        let metrics = Metrics()
        metrics.request("list-tickets", status: 200, seconds: 0.004)
        metrics.request("list-tickets", status: 200, seconds: 0.004)
        metrics.request("list-tickets", status: 404, seconds: 20)

        let lines = Set(metrics.text(gauges: []).split(separator: "\n").map(String.init))

        #expect(lines.contains(#"delightchat_requests_total{function="list-tickets",status="200"} 2"#))
        #expect(lines.contains(#"delightchat_requests_total{function="list-tickets",status="404"} 1"#))
        // Each bucket holds those before it.
        #expect(lines.contains(#"delightchat_request_seconds_bucket{function="list-tickets",le="0.0025"} 0"#))
        #expect(lines.contains(#"delightchat_request_seconds_bucket{function="list-tickets",le="0.005"} 2"#))
        #expect(lines.contains(#"delightchat_request_seconds_bucket{function="list-tickets",le="10.0"} 2"#))
        #expect(lines.contains(#"delightchat_request_seconds_bucket{function="list-tickets",le="+Inf"} 3"#))
        #expect(lines.contains(#"delightchat_request_seconds_count{function="list-tickets"} 3"#))
    }

    @Test func countsJobsByOutcome() {
        let metrics = Metrics()
        metrics.jobs("receive-message", done: 199, failed: 1, seconds: 0.2)

        let text = metrics.text(gauges: [])

        #expect(text.contains(#"delightchat_jobs_total{function="receive-message",outcome="done"} 199"#))
        #expect(text.contains(#"delightchat_jobs_total{function="receive-message",outcome="failed"} 1"#))
        #expect(text.contains(#"delightchat_job_seconds_count{function="receive-message"} 1"#))
    }

    @Test func tellsOfEachGaugeOnceWithAllItsValues() {
        let gauges = ["inbound", "outbound"].map {
            Gauge(name: "delightchat_queue_waiting", help: "Jobs.", labels: [(name: "queue", value: $0)], value: 3)
        }

        let text = Metrics().text(gauges: gauges)

        #expect(text.components(separatedBy: "# TYPE delightchat_queue_waiting gauge").count == 2)
        #expect(text.contains(#"delightchat_queue_waiting{queue="inbound"} 3.0"#))
        #expect(text.contains(#"delightchat_queue_waiting{queue="outbound"} 3.0"#))
    }
}
