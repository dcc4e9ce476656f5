import Foundation
package import Functions
import HTTPTypes
import Hummingbird
import Postgres
import Queue
import Redis
import Schema
import Security

/// The host's own pages: whether the process is up, whether it can serve, its figures, the API's description, and what links in
/// mails lead to.
struct Operations: Sendable {
    let services: Services
    let metrics: Metrics
    /// The queues whose figures this process tells.
    let queues: [(function: String, queue: String)]
    let isDraining: @Sendable () -> Bool
    let document: ServedDocument
    let explorer: Explorer
    /// Whether the metrics need their token from this machine, too.
    var needsToken = false

    /// The answer, or `nil` where the path is none of these.
    func answer(
        _ request: Hummingbird.Request,
        path: String,
        address: String?,
        requestId: String
    ) async throws -> Answer? {
        let accountPage = AccountPages.answer(path)
        switch path {
        case "/health", "/ready", "/metrics": break
        default: guard HostPages.contain(path) else { return nil }
        }
        switch request.method {
        case .get, .head: break
        case .options: return Answer(status: 204, contentType: nil, headers: [("Allow", "GET, HEAD, OPTIONS")])
        default:
            var answer = Problem.answer(
                Failure(status: 405, detail: "\(request.method.rawValue) is not allowed here."),
                path: path,
                requestId: requestId
            )
            answer.headers.append(("Allow", "GET, HEAD, OPTIONS"))
            return answer
        }
        if let accountPage { return accountPage }
        switch path {
        case "/health": return Answer.object { $0.member("status", "ok") }
        case "/ready": return await ready()
        case "/openapi.json": return document.answer
        case "/metrics":
            let isAllowed = MetricsAccess.isAllowed(
                address: needsToken ? nil : address,
                authorization: request.headers[.authorization],
                token: services.settings["METRICS_TOKEN"]
            )
            guard isAllowed else { throw MetricsAccess.refusal }
            return await metricsPage()
        default: return try explorer.answer(path)
        }
    }

    /// 200 when every part answers and the schema is new enough, else 503 with the parts that are away.
    private func ready() async -> Answer {
        async let postgres = isPostgresReady()
        async let redis = redisDurability()
        let away = [await postgres, isDraining() ? "draining" : nil].compactMap(\.self)
        let durability = await redis
        let all = away + (durability == nil ? ["redis"] : [])
        var answer = Answer.object(status: all.isEmpty ? 200 : 503) {
            $0.member("status", all.isEmpty ? "ready" : "unavailable")
            $0.name("away")
            $0.array { for part in all { $0.string(part) } }
            if let durability { $0.member("durability", durability) }
        }
        if !all.isEmpty { answer.headers.append(("Retry-After", "1")) }
        return answer
    }

    /// What is missing: `postgres`, `migrations` or nothing.
    private func isPostgresReady() async -> String? {
        do {
            return try await Schema.isReady(services.postgres) ? nil : "migrations"
        } catch {
            return "postgres"
        }
    }

    /// `strong` where Redis keeps every acknowledged write, `weak` where it may lose some, `nil` where it's away.
    private func redisDurability() async -> String? {
        let answers = await services.redis.pipeline([
            ["CONFIG", "GET", "appendonly"], ["CONFIG", "GET", "appendfsync"], ["PING"],
        ])
        guard answers.count == 3, case .success = answers[2] else { return nil }
        func value(_ index: Int) -> String? {
            guard case .success(let answer) = answers[index] else { return nil }
            return answer.array?.last?.string
        }
        return value(0) == "yes" && value(1) == "always" ? "strong" : "weak"
    }

    /// The figures of this moment in Prometheus' text format, for those who may know them.
    func metricsPage() async -> Answer {
        var gauges = postgresGauges()
        let inspector = QueueInspector(redis: services.redis, prefix: services.producer.prefix)
        for (function, queue) in queues {
            guard let counts = try? await inspector.counts(queue) else { continue }  // Redis away: /ready tells
            func gauge(_ state: String, _ value: Int) -> Gauge {
                Gauge(
                    name: "delightchat_queue_jobs",
                    help: "Jobs by queue and state.",
                    labels: [("function", function), ("queue", queue), ("state", state)],
                    value: Double(value)
                )
            }
            gauges += [
                gauge("wait", counts.wait), gauge("active", counts.active), gauge("delayed", counts.delayed),
                gauge("prioritized", counts.prioritized), gauge("failed", counts.failed),
            ]
            gauges.append(
                Gauge(
                    name: "delightchat_queue_backlog",
                    help: "Jobs that want a worker now: waiting, prioritized, active, and delayed ones that are due.",
                    labels: [("function", function), ("queue", queue)],
                    value: Double(counts.backlog)
                )
            )
            gauges.append(
                Gauge(
                    name: "delightchat_queue_age_seconds",
                    help: "Age of the job that has waited longest.",
                    labels: [("function", function), ("queue", queue)],
                    value: (counts.oldestWaitingAge ?? .zero).seconds
                )
            )
        }
        return Answer(
            status: 200,
            contentType: Metrics.contentType,
            body: Array(metrics.text(gauges: gauges).utf8)
        )
    }

    private func postgresGauges() -> [Gauge] {
        let statistics = services.postgres.statistics
        func gauge(_ state: String, _ value: Int) -> Gauge {
            Gauge(
                name: "delightchat_postgres",
                help: "Connections and callers of the PostgreSQL client.",
                labels: [("state", state)],
                value: Double(value)
            )
        }
        return [
            gauge("pipelined", statistics.pipelined), gauge("pooled", statistics.pooled),
            gauge("busy", statistics.busy),
            gauge("in_flight", statistics.inFlight), gauge("waiting_for_pool", statistics.waitingForPool),
            gauge("waiting_for_connection", statistics.waitingForConnection),
        ]
    }
}

/// The pages that are the same whichever host of the product answers.
package enum HostPages {
    package static func contain(_ path: some StringProtocol) -> Bool {
        path == "/openapi.json" || Explorer.owns(path) || AccountPages.owns(path)
    }
}

/// Who may read a process's figures.
package enum MetricsAccess {
    package static let refusal = Failure.unauthorized(
        "The metrics need METRICS_TOKEN as bearer token from another machine."
    )

    /// Whether the caller sits at this machine or holds the token, if there is one.
    package static func isAllowed(address: String?, authorization: String?, token: String?) -> Bool {
        if let address, address == "127.0.0.1" || address == "::1" { return true }
        guard let token, !token.isEmpty, let authorization, authorization.hasPrefix("Bearer ") else { return false }
        return constantTimeEquals(Array(authorization.dropFirst(7).utf8), Array(token.utf8))
    }
}
