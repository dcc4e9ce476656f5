import ArgumentParser
import Foundation
import Functions
import Helpdesk
import Manifest
import Postgres

struct BenchTickets: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tickets",
        abstract: "The ticket list (25 rows, row-level security, session checked) beside pgbench on the same SQL.",
        discussion: """
            With --filters it compares organisations instead: each filter of the list with each sort, searches, and filters together, in
            one of 10,000 tickets and in one of as many as --rows says, among 1,000 organisations. Filling a million takes minutes.

            Examples:
              runner bench tickets --rows 100000
              runner bench tickets --rows 1000000 --filters
            """
    )

    @OptionGroup var bundle: BundleOptions
    @OptionGroup var options: Bench.Options

    @Option(help: "How many tickets the organisation has.")
    var rows = 10_000

    @Flag(help: "Compare every filter and sort with an organisation of 10,000 tickets.")
    var filters = false

    func run() async throws {
        let world = try await BenchWorld.make(try bundle.bundle())
        do {
            if filters {
                try await TicketFilters(world: world, rows: rows).measure()
            } else {
                try await measure(world)
            }
            await world.end()
        } catch {
            await world.end()
            throw error
        }
    }

    private func measure(_ world: BenchWorld) async throws {
        try await world.host(["--all"])
        print("idle: \(world.residentMiB.short) MiB resident")
        let organisation = try await BenchOrganisation.make(in: world)
        try await Self.fill(organisation, with: rows, in: world)
        let path = "/orgs/\(organisation.id)/tickets"
        let header = ["Authorization: Bearer \(try await organisation.token(in: world))"]
        _ = try await Load.run(world, path: path, connections: 16, seconds: 2, headers: header)
        let health = try await Load.run(world, path: "/health", connections: 64, seconds: options.seconds)
        let at16 = try await Load.run(world, path: path, connections: 16, seconds: options.seconds, headers: header)
        let at64 = try await Load.run(world, path: path, connections: 64, seconds: options.seconds, headers: header)
        let pgbench = try await pgbench(world, organisation)
        print(
            Table(
                Load.headings,
                rows: [
                    ["GET /health c=64"] + health.cells, ["ticket list c=16"] + at16.cells,
                    ["ticket list c=64"] + at64.cells, ["pgbench c=16, same SQL", pgbench.whole, "", "", "", ""],
                ]
            )
        )
        print("ticket list c=64 to pgbench c=16: \((at64.rate / pgbench).short)")
        print("p99 to p50 at c=64: \((at64.p99 / at64.p50).short)")
        print("under load: \(world.residentMiB.short) MiB resident")
    }

    /// Gives an organisation so many tickets and a third as many contacts.
    static func fill(_ organisation: BenchOrganisation, with rows: Int, in world: BenchWorld) async throws {
        let postgres = world.postgres()
        let org: SQL = "\(organisation.id)::uuid"
        let contacts = max(1, rows / 3)
        _ = try await postgres.transaction(opening: ["SELECT enter_organisation(\(raw: org))"]) { connection in
            try await connection.run([
                """
                INSERT INTO contacts (org_id, id, name, phone)
                SELECT \(raw: org), md5('contact' || n)::uuid, 'Customer ' || n, '+1' || (2000000000 + n)
                  FROM generate_series(1, \(contacts)::integer) AS n
                """,
                """
                INSERT INTO conversations (org_id, channel_id, contact_id)
                SELECT \(raw: org), \(organisation.channel)::uuid, md5('contact' || n)::uuid
                  FROM generate_series(1, \(contacts)::integer) AS n
                """,
                """
                INSERT INTO tickets (org_id, number, channel_id, contact_id, subject, status, closed_at, last_message_at)
                SELECT \(raw: org), n, \(organisation.channel)::uuid,
                       md5('contact' || 1 + n % \(contacts)::integer)::uuid, 'Where is parcel ' || n || '?',
                       CASE n % 3 WHEN 0 THEN 'open' WHEN 1 THEN 'pending' ELSE 'closed' END,
                       CASE n % 3 WHEN 2 THEN now() END, now() - make_interval(secs => n)
                  FROM generate_series(1, \(rows)::integer) AS n
                """,
            ])
        }
        await postgres.shutdown()
        try await Owner.connected(world.owner) { _ = try await $0.query("ANALYZE") }
    }

    /// Transactions per second of pgbench with 16 clients on what the endpoint sends, in one round trip like there.
    private func pgbench(_ world: BenchWorld, _ organisation: BenchOrganisation) async throws -> Double {
        let list = try MeasuredStatements.ticketList(of: organisation.id)
        let script = """
            \\startpipeline
            SELECT enter_organisation('\(organisation.id)'::uuid, '\(organisation.user)'::uuid, \
            '\(organisation.session)'::uuid, 'admin');
            \(list);
            \\endpipeline

            """
        let file = try world.write("tickets.sql", script)
        let output = try await Tool.run(
            "pgbench",
            [
                "-n", "-M", "prepared", "-c", "16", "-j", "1", "-T", "\(options.seconds)", "-f", file,
                "-h", world.postgresSocketFolder, "-U", "delightchat_api", "delightchat",
            ]
        )
        guard let match = output.firstMatch(of: #/tps = ([0-9.]+)/#), let rate = Double(match.output.1) else {
            throw ValidationError("pgbench said nothing of its rate:\n\(output)")
        }
        return rate
    }
}
