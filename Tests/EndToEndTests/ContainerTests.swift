import Foundation
import TestSupport
import Testing

/// What the executable does in a container.
@Suite struct ContainerTests {
    @Test(arguments: [
        ("--all", ["MAIL_URL", "ATTACHMENTS_URL"]), ("--group api", ["ATTACHMENTS_URL"]),
        ("deliver-mail", ["MAIL_URL"]),
    ]) func doesNotStartWithoutWhatAllProcessesShare(hosting: String, missing: [String]) async throws {
        let serve = try await Self.serve(hosting)

        let told = serve.errors.split(separator: "\n").compactMap { $0.split(separator: " ").dropFirst().first }
        #expect(serve.status == 3)
        #expect(told.map(String.init) == missing, "\(serve.errors)")
    }

    @Test func refusesAFolderOfItsOwn() async throws {
        let serve = try await Self.serve("fetch-attachments", "ATTACHMENTS_URL=file:attachments")

        #expect(serve.status == 3)
        #expect(serve.errors.contains("ATTACHMENTS_URL names a folder of this container"))
    }

    @Test func whoIsOnTheSameMachineNeedsTheTokenToo() async throws {
        let own = try FreePort.find()
        let host = try await RunningHost(
            settings: Self.shared.merging(["METRICS_PORT": "\(own)"]) { _, new in new },
            hosting: ["--group", "scheduler"]
        )
        let local = APIClient(base: "http://127.0.0.1:\(own)", isOurs: false)
        let token = ["Authorization": "Bearer metrics-token-of-the-tests"]

        let bare = try await host.api.get("/metrics")
        let page = try await host.api.get("/metrics", headers: token)
        let besides = try await local.get("/metrics")
        let nothing = try await local.get("/health")
        let up = try await Command.run(["health", "--port", "\(host.port)"])
        let ready = try await Command.run(["health", "--ready", "--port", "\(host.port)"])
        host.stop()
        let down = try await Command.run(["health", "--port", "\(host.port)"])

        #expect(bare.problem == "401")
        #expect(page.status == 200)
        #expect(besides.status == 200 && besides.text.contains("delightchat_queue_backlog"))
        #expect(nothing.status == 404)
        // Where schedules run, every queue's backlog is told: that of workers that have been scaled to none.
        for queue in ["inbound", "changes", "outbound", "mail", "campaigns", "attachments", "webhooks"] {
            let told = page.text.split(separator: "\n").filter { $0.hasPrefix("delightchat_queue_backlog{") }
            #expect(told.contains { $0.contains("queue=\"\(queue)\"} 0") }, "\(queue)")
        }
        #expect([up.status, ready.status, down.status] == [0, 0, 1])
        #expect(down.errors.contains("did not answer"))
    }

    @Test func aHostThatCannotServeIsUpButNotReady() async throws {
        let redis = try await RunningRedis()
        let host = try await RunningHost(redisURL: redis.url, settings: Self.shared, hosting: ["--group", "api"])
        redis.kill()

        let ready = try await eventually {
            let ready = try await Command.run(["health", "--ready", "--port", "\(host.port)"])
            return ready.status == 0 ? nil : ready
        }
        let up = try await Command.run(["health", "--port", "\(host.port)"])
        host.kill()

        #expect(ready.errors.contains("answered 503"))
        #expect(up.status == 0)
    }

    @Test func seesOnlyTheSettingsThatItsFunctionsUse() async throws {
        // Faults of settings that nobody here reads.
        let host = try await RunningHost(
            settings: ["MAIL_URL": "nonsense", "META_GRAPH_URL": "nonsense", "DATABASE_OWNER_URL": "nonsense"],
            hosting: ["--group", "api"]
        )
        let log = host.log
        host.stop()
        let mail = try await Self.serve("deliver-mail", "MAIL_URL=nonsense")

        #expect(!log.contains("nonsense"))
        #expect(mail.status == 3 && mail.errors.contains("MAIL_URL"))
    }

    /// What every container needs to be given.
    private static let shared = [
        "RUNNER_CONTAINER": "1", "MAIL_URL": "smtp://127.0.0.1:9", "ATTACHMENTS_URL": "file:/tmp/shared",
    ]

    /// A host in a container, without servers: it ends before it asks for them.
    private static func serve(_ hosting: String, _ settings: String = "") async throws -> Command {
        try await Command.shell(
            "cd \(Checkout.root) && RUNNER_CONTAINER=1 DATABASE_URL=postgres://a@127.0.0.1:9/a REDIS_URL=redis://127.0.0.1:9 "
                + "JWT_SECRET=0123456789abcdef0123456789abcdef "
                + "ENCRYPTION_KEY=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef "
                + "\(settings) \(Checkout.executable) serve \(hosting) --port 0"
        )
    }
}
