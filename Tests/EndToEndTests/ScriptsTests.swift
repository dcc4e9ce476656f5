import Foundation
import Postgres
import TestSupport
import Testing

/// Counterparts of the scripts of the system that this one replaces.
@Suite struct ScriptsTests {
    @Test func aWorkerPerQueueDoesWhatOneHostOfAllDoes() async throws {
        let api = try await RunningHost(hosting: ["--group", "api"])
        let acme = try await Organisation.signUp(api.api)
        let channel = try await acme.channel()
        _ = try await api.api.persistentWebhook(channel, from: "+15550001", "Hello", id: "1")
        let before = try await acme.tickets().count

        let inbound = try await RunningHost(
            database: api.database,
            redisURL: api.redisURL,
            hosting: ["--queue", "inbound"]
        )
        let ticket = try await eventually {
            try await acme.tickets().first?["id"] as? String
        }
        let outbound = try await RunningHost(
            database: api.database,
            redisURL: api.redisURL,
            hosting: ["--queue", "outbound"]
        )
        _ = try await acme.api.post("/orgs/\(acme.id)/tickets/\(ticket)/messages", ["text": "Hi"])
        let statuses = try await eventually {
            let statuses = try await acme.messages(of: ticket).compactMap { $0["status"] as? String }
            return statuses.contains("delivered") ? statuses : nil
        }

        #expect(before == 0)
        #expect(statuses == ["received", "delivered"])
        for host in [api, inbound, outbound] { host.stop() }
    }

    @Test(arguments: ["inbound", "outbound", "campaigns", "analytics"])
    func everyWorkerOfOldHasItsQueue(queue: String) async throws {
        let help = try await Command.run(["serve", "--queue", queue, "--group", "nobody"])

        // The queue is known: what is refused is the group.
        #expect(help.errors.contains("no group \"nobody\""))
    }

    @Test func anUnknownQueueIsRefusedWithThoseThatAre() async throws {
        let serve = try await Command.run(["serve", "--queue", "inbuond"])

        #expect(serve.status != 0)
        #expect(serve.errors.contains("inbuond"))
        #expect(serve.errors.contains("inbound") && serve.errors.contains("analytics"))
    }

    @Test func enginesRunAloneAndOthersFindThem() async throws {
        let up = try await RunningUp(["--engines"])

        let migrate = try await Command.run(["db", "migrate", "-f", up.folder + "/functions.yaml"], in: up.folder)
        let status = try await Command.run(["db", "status", "-f", up.folder + "/functions.yaml"], in: up.folder)
        let children = ProcessIdentity.descendants(of: up.pid).map(\.command)
        let log = up.log
        up.stop()

        #expect(migrate.status == 0, "\(migrate.errors)")
        #expect(status.status == 0)
        #expect(log.contains("DATABASE_URL=") && log.contains("REDIS_URL="))
        #expect(children.contains { $0.contains("postgres") } && children.contains { $0.contains("redis-server") })
        #expect(!children.contains { $0.contains(" serve ") })
    }

    @Test func aNewMigrationIsAppliedBeforeItIsWritten() async throws {
        let database = try await TestDatabase.make()
        let checkout = try ScratchCheckout()
        let runner = "DATABASE_OWNER_URL='\(database.ownerURL)' \(Checkout.executable) db new"
        let file = "-f \(checkout.folder)/functions.yaml"

        let faulty = try await Command.shell("echo 'ALTER TABLE nowhere ADD x int;' | \(runner) colour --apply \(file)")
        let untouched = try checkout.migrations()
        let applied = try await Command.shell(
            "echo 'ALTER TABLE tickets ADD COLUMN colour text;' | \(runner) add-colour --apply \(file)"
        )

        #expect(faulty.status != 0)
        #expect(faulty.errors.contains("nowhere"))
        #expect(!untouched.contains { $0.contains("colour") })
        #expect(applied.status == 0, "\(applied.errors)")
        let name = try #require(try checkout.migrations().first { $0.hasSuffix("_add_colour.sql") })
        #expect(try checkout.text("Sources/Schema/Migration.swift").contains("\"add_colour\", PackageResources._"))
        #expect(try checkout.text("Sources/Schema/Migrations/\(name)").contains("ADD COLUMN colour"))
        #expect(
            try await database.integer(
                "SELECT count(*) AS value FROM information_schema.columns WHERE table_name = 'tickets' AND column_name = 'colour'"
            ) == 1
        )
    }

    @Test func theStudioShowsTablesToThisMachineAlone() async throws {
        let database = try await TestDatabase.make()
        let port = try FreePort.find()
        let process = LockedProcess()
        try process.start(
            executable: Checkout.executable,
            arguments: ["db", "studio", "--port", String(port), "-f", Checkout.root + "/functions.yaml"],
            environment: ["DATABASE_OWNER_URL": database.ownerURL, "PATH": "/usr/bin:/bin"]
        )
        let api = APIClient(base: "http://127.0.0.1:\(port)", isOurs: false)
        _ = try await eventually { try? await api.get("/").status == 200 ? true : nil }

        let tables = try await api.get("/")
        let tickets = try await api.get("/tables/tickets")
        let unknown = try await api.get("/tables/nowhere")
        let foreign = try await Command.shell(
            "curl -s -o /dev/null -w '%{http_code}' -H 'Host: evil.example' http://127.0.0.1:\(port)/"
        )
        let posted = try await api.post("/", [:])
        process.kill()

        #expect(tables.text.contains("/tables/tickets"))
        #expect(tickets.status == 200 && tickets.text.contains("No rows"))
        #expect(unknown.status == 404)
        #expect(foreign.output == "403")
        #expect(posted.status >= 400)
    }

    @Test func productionLogsJSON() async throws {
        let host = try await RunningHost(
            settings: ["NODE_ENV": "production", "LOG_FORMAT": "pretty", "LOG_LEVEL": "info"],
            hosting: ["--all"]
        )
        _ = try await host.api.get("/auth/me")
        host.stop()

        let lines = host.log.split(separator: "\n")
        #expect(!lines.isEmpty)
        #expect(lines.allSatisfy { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) is [String: Any] })
    }
}

/// A copy of what `runner db new` changes.
private final class ScratchCheckout {
    let folder: String

    init() throws {
        folder = NSTemporaryDirectory() + "delightchat-checkout-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder + "/Sources", withIntermediateDirectories: true)
        for name in ["functions.yaml", "Package.swift", "Sources/Schema"] {
            try FileManager.default.copyItem(atPath: "\(Checkout.root)/\(name)", toPath: "\(folder)/\(name)")
        }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: folder)  // a folder that stays is in nobody's way
    }

    func migrations() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder + "/Sources/Schema/Migrations")
    }

    func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(folder)/\(path)", encoding: .utf8)
    }
}
