import ArgumentParser
import Foundation
import Logging
import Manifest
import Postgres
import Redis

struct BenchWebhook: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhook",
        abstract: "Webhooks beside GET /health and redis-benchmark, then the inbound worker beside a bare INSERT.",
        discussion: """
            The first host takes webhooks and runs no worker, so their messages wait in the queue; the second one works
            through them while nothing else runs.

            Example:
              runner bench webhook --seconds 20
            """
    )

    @OptionGroup var bundle: BundleOptions
    @OptionGroup var options: Bench.Options

    @Option(help: "How many customers write.")
    var senders = 2000

    func run() async throws {
        let world = try await BenchWorld.make(try bundle.bundle())
        do {
            try await measure(world)
            await world.end()
        } catch {
            await world.end()
            throw error
        }
    }

    private func measure(_ world: BenchWorld) async throws {
        try await world.host(["--group", "api"])
        let organisation = try await BenchOrganisation.make(in: world)
        let path = "/webhook/\(organisation.channel)"
        let script = try world.write("webhook.lua", Self.script(senders: senders))
        let health = try await Load.run(world, path: "/health", connections: 16, seconds: options.seconds)
        let webhook = try await Load.run(world, path: path, connections: 16, seconds: options.seconds, script: script)
        let xadd = try await redisRate(world)
        print(
            Table(
                Load.headings,
                rows: [
                    ["GET /health c=16"] + health.cells, ["POST /webhook c=16"] + webhook.cells,
                    ["redis-benchmark LPUSH c=16", xadd.whole, "", "", "", ""],
                ]
            )
        )
        print("webhook to GET /health: \((webhook.rate / health.rate).short)")
        print("webhook to redis-benchmark LPUSH: \((webhook.rate / xadd).short)")
        try await drain(world, organisation)
    }

    /// A message of its own for each request, of senders in turn.
    static func script(senders: Int) -> String {
        """
        local count = 0
        local run = tostring(os.time())
        wrk.method = "POST"
        wrk.headers["Content-Type"] = "application/json"
        request = function()
            count = count + 1
            local body = string.format(
                '{"senderPhone":"+1%010d","senderName":"Customer %d","message":"Where is parcel %d?","messageId":"%s-%d"}',
                2000000000 + count % \(senders), count % \(senders), count, run, count)
            return wrk.format(nil, nil, nil, body)
        end
        """
    }

    private func redisRate(_ world: BenchWorld) async throws -> Double {
        let output = try await Tool.run(
            "redis-benchmark",
            [
                "-s", world.redisSocket, "-c", "16", "-n", "100000", "-q", "LPUSH", "bench:list",
                String(repeating: "x", count: 200),
            ]
        )
        guard let match = output.matches(of: #/([0-9.]+) requests per second/#).last, let rate = Double(match.output.1)
        else {
            throw ValidationError("redis-benchmark said nothing of its rate:\n\(output)")
        }
        return rate
    }

    /// Has a second host work through what waits, then inserts the same rows bare.
    private func drain(_ world: BenchWorld, _ organisation: BenchOrganisation) async throws {
        let postgres = world.postgres()
        let entry: SQL = "SELECT enter_organisation(\(organisation.id)::uuid)"
        func stored() async throws -> Int {
            let rows = try await postgres.run([
                entry, "SELECT count(*)::integer AS count FROM messages WHERE org_id = \(organisation.id)::uuid",
            ])
            return try rows[1].first?.get("count", as: Int.self) ?? 0
        }
        let redis = Redis(
            try RedisConfiguration(url: world.redis),
            logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        let waiting = Int(try await redis.command(["LLEN", "bull:inbound:wait"]).integer ?? 0)
        let began = ContinuousClock.now
        try await world.host(
            ["--group", "workers"],
            port: 31_000 + Int(ProcessInfo.processInfo.processIdentifier) % 1000
        )
        let ready = ContinuousClock.now
        while try await redis.command(["LLEN", "bull:inbound:wait"]).integer ?? 0 > 0 {
            try await Task.sleep(for: .milliseconds(50))
        }
        while try await redis.command(["LLEN", "bull:inbound:active"]).integer ?? 0 > 0 {
            try await Task.sleep(for: .milliseconds(20))
        }
        let seconds = began.duration(to: .now).inSeconds
        let count = try await stored()
        let rate = Double(count) / seconds
        await redis.shutdown()
        print(
            "inbound worker: \(count) of \(waiting) messages stored in \(seconds.short) s "
                + "(of these \(began.duration(to: ready).inSeconds.short) s start): \(rate.whole)/s"
        )
        let bare = try await bareInserts(postgres, entry, organisation, min(count, 20_000))
        await postgres.shutdown()
        print("bare INSERT … SELECT unnest, batches of 200, 4 at once: \(bare.whole)/s")
        print("inbound worker to bare INSERT: \((rate / bare).short)")
    }

    /// The same rows once more, in a table with the same indexes, by one statement for each 200.
    private func bareInserts(
        _ postgres: Postgres,
        _ entry: SQL,
        _ organisation: BenchOrganisation,
        _ count: Int
    ) async throws -> Double {
        let rows = try await postgres.run([
            entry,
            """
            SELECT contact_id, ticket_id, text, external_id || '-again' AS external_id, accepted_at
              FROM messages
             WHERE org_id = \(organisation.id)::uuid
             LIMIT \(count)
            """,
        ])[1]
        let batches = try stride(from: 0, to: rows.count, by: 200).map { start in
            let part = rows[start..<min(start + 200, rows.count)]
            let contacts = try part.map { try $0.get("contact_id", as: UUID.self) }
            let tickets = try part.map { try $0.get("ticket_id", as: UUID.self) }
            let texts = try part.map { try $0.get("text", as: String.self) }
            let ids = try part.map { try $0.get("external_id", as: String.self) }
            let accepted = try part.map { try $0.get("accepted_at", as: Int64.self) }
            let statement: SQL = """
                INSERT INTO messages (org_id, channel_id, contact_id, ticket_id, direction, author_type, author_id, text,
                                      status, external_id, accepted_at)
                SELECT \(organisation.id)::uuid, \(organisation.channel)::uuid, x.contact, x.ticket, 'inbound', 'contact',
                       x.contact, x.text, 'received', x.external_id, x.accepted
                  FROM unnest(\(contacts)::uuid[], \(tickets)::uuid[], \(texts)::text[], \(ids)::text[], \(accepted)::bigint[])
                       AS x (contact, ticket, text, external_id, accepted)
                """
            return statement
        }
        let began = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<4 {
                group.addTask {
                    for index in stride(from: lane, to: batches.count, by: 4) {
                        _ = try await postgres.run([entry, batches[index]])
                    }
                }
            }
            try await group.waitForAll()
        }
        return Double(rows.count) / began.duration(to: .now).inSeconds
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
