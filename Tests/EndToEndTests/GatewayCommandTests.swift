import Foundation
import TestSupport
import Testing

/// The product in several processes, with `runner gateway` in front.
@Suite struct GatewayCommandTests {
    /// A host of the endpoints, one of everything else, and the gateway.
    private struct Stage {
        let endpoints: RunningHost
        let workers: RunningHost
        let gateway = LockedProcess()
        let port: Int
        // Not below TMPDIR: a socket's path holds at most 107 bytes.
        let socket = "/tmp/delightchat-\(UUID().uuidString.prefix(8)).sock"

        var api: APIClient { APIClient(base: "http://127.0.0.1:\(port)") }

        init() async throws {
            endpoints = try await RunningHost(hosting: ["--group", "api"], socket: socket)
            workers = try await RunningHost(
                database: endpoints.database,
                redisURL: endpoints.redisURL,
                hosting: ["--group", "workers", "--group", "scheduler"]
            )
            port = try FreePort.find()
            try gateway.start(
                executable: Checkout.executable,
                arguments: [
                    "gateway", "-f", Checkout.root + "/functions.yaml", "--port", String(port),
                    "--upstream", "api=unix:\(socket)",
                ],
                // No secret: it needs none.
                environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "", "LOG_LEVEL": "warning"]
            )
            let api = api
            _ = try await eventually(within: .seconds(60)) {
                let answer = try? await api.get("/ready")  // not there yet: asked again
                return answer?.status == 200 ? true : nil
            }
        }

        func end() {
            gateway.stop()
            workers.stop()
            endpoints.stop()
        }
    }

    @Test func theMainJobGoesThroughIt() async throws {
        let stage = try await Stage()
        let acme = try await Organisation.signUp(stage.api)
        let channel = try await acme.channel()

        _ = try await stage.api.persistentWebhook(channel, from: "+15550001", "Hello", id: "1")
        let ticket = try await eventually { try await acme.tickets().first?["id"] as? String }
        _ = try await acme.api.post("/orgs/\(acme.id)/tickets/\(ticket)/messages", ["text": "Hi"])
        let statuses = try await eventually {
            let statuses = try await acme.messages(of: ticket).compactMap { $0["status"] as? String }
            return statuses.contains("delivered") ? statuses : nil
        }
        let unknown = try await stage.api.get("/nothing/here")
        let stranger = try await stage.api.get("/orgs/\(acme.id)/tickets")
        stage.end()

        #expect(statuses.count == 2)
        #expect(unknown.status == 404)
        #expect(stranger.status == 401)
    }

    @Test func aHostThatRestartsInOrderDropsNoRequest() async throws {
        let stage = try await Stage()
        let callers = SteadyCallers(port: stage.port, path: "/accept-invite", keeping: 3, renewing: 3)
        defer { callers.halt() }

        _ = try await eventually(within: .seconds(60)) { callers.count > 100 ? true : nil }
        stage.endpoints.stop()
        try await stage.endpoints.start()
        let restarted = callers.count
        _ = try await eventually(within: .seconds(60)) { callers.count > restarted + 100 ? true : nil }
        let (_, failures) = try await callers.stop()
        stage.end()

        // 503 is said where a start takes more than the 5 s for which it's waited.
        #expect(failures.filter { $0 != "status 503" } == [])
    }

    @Test func aHostThatDiesIsNamedByTheRequestsIdAndTheOthersGoOn() async throws {
        let stage = try await Stage()
        let acme = try await Organisation.signUp(stage.api)

        stage.endpoints.kill()
        let api = APIClient(base: stage.api.base, token: acme.api.token, isOurs: false)
        let away = try await api.get("/orgs/\(acme.id)/tickets")
        let health = try await api.get("/health")
        let works = try await stage.workers.api.get("/ready")
        try await stage.endpoints.start()
        let back = try await eventually(within: .seconds(60)) {
            let answer = try await api.get("/orgs/\(acme.id)/tickets")
            return answer.status == 200 ? answer : nil
        }
        stage.end()

        #expect([502, 503].contains(away.status))
        #expect(away.headers["content-type"]?.hasPrefix("application/problem+json") == true)
        #expect(away.string("requestId") == away.headers["x-request-id"])
        #expect(health.status == 200 && works.status == 200)
        #expect(back.status == 200)
    }
}
