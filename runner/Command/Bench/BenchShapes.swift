import ArgumentParser
import Fleet
import Foundation
import Logging
import Manifest
import Redis

struct BenchShapes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shapes",
        abstract:
            "What it costs to spread the functions over processes, what the gateway costs, and statements that aren't prepared.",
        discussion: """
            Starts `runner up` in each shape, all together, --processes and --processes=function, and tells how long that took and
            which memory the processes have, idle and after a load. RSS counts pages that processes share once for each of them, PSS
            once for all. Then it asks one host directly and another through a gateway on a unix socket, and one with
            DATABASE_PREPARE=off, in turn; of the rounds it shows the middle one.

            Examples:
              runner bench shapes
              runner bench shapes --rows 100000 --seconds 20 --rounds 5
            """
    )

    @OptionGroup var bundle: BundleOptions
    @OptionGroup var options: Bench.Options

    @Option(help: "How many tickets the organisation has.")
    var rows = 10_000

    @Option(help: "How often each request is measured.")
    var rounds = 3

    func validate() throws {
        guard (1...100).contains(rounds) else { throw ValidationError("--rounds is 1 to 100.") }
    }

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
        // Made by a host that nothing is measured of: deriving its password's key takes memory.
        let maker = try await world.host(["--group", "api"])
        let organisation = try await BenchOrganisation.make(in: world)
        try await BenchTickets.fill(organisation, with: rows, in: world)
        _ = await maker.stop(SIGTERM, grace: .seconds(30))

        var runs: [ShapeRun] = []
        for shape in ShapeRun.shapes {
            let run = try await ShapeRun(shape, world, organisation, seconds: options.seconds)
            print("\(shape.name): \(run.idle.count) processes, ready after \(run.ready.inSeconds.short) s")
            runs.append(run)
        }
        print("")
        print(Table(ShapeRun.headings, rows: runs.map(\.cells)))
        print("")
        print(Table(["", "process", "RSS idle MiB", "RSS loaded MiB"], rows: runs.flatMap(\.processes)))
        print("")
        try await HopRun(world: world, organisation: organisation, rounds: rounds, seconds: options.seconds).measure()
    }
}

/// `runner up` in one shape: how long it takes to start, and its memory.
private struct ShapeRun {
    static let shapes: [(name: String, options: [String])] = [
        ("all together", []), ("--processes", ["--processes"]), ("--processes=function", ["--processes=function"]),
    ]

    static let headings = [
        "", "processes", "ready after s", "RSS idle MiB", "PSS idle MiB", "RSS loaded MiB", "PSS loaded MiB",
        "supervisor's RSS",
    ]

    let name: String
    let ready: Duration
    /// Hosts and gateway.
    let idle: [Memory]
    let loaded: [Memory]
    let supervisor: Memory?

    struct Memory {
        let name: String
        let rss: Double
        /// Pages that several processes have count for each of them in part.
        let pss: Double
    }

    init(
        _ shape: (name: String, options: [String]),
        _ world: BenchWorld,
        _ organisation: BenchOrganisation,
        seconds: Int
    ) async throws {
        name = shape.name
        let up = try await world.up(shape.options)
        ready = up.took
        // What a start leaves to be done is done by then.
        try await Task.sleep(for: .seconds(5))
        idle = Self.hosts(up.state)
        supervisor = Self.memory(up.state).first { $0.name == "supervisor" }

        let header = ["Authorization: Bearer \(try await organisation.token(in: world))"]
        let tickets = "/orgs/\(organisation.id)/tickets"
        let messages = try world.write("webhook.lua", BenchWebhook.script(senders: 1000))
        _ = try await Load.run(world, path: tickets, connections: 64, seconds: seconds, headers: header)
        _ = try await Load.run(
            world,
            path: "/webhook/\(organisation.channel)",
            connections: 4,
            seconds: min(seconds, 3),
            script: messages
        )
        loaded = Self.hosts(up.state)
        // The next shape begins with nothing to do.
        try await Self.drain(world)
        _ = await up.process.stop(SIGINT, grace: .seconds(60))
    }

    private static func hosts(_ state: StateFolder) -> [Memory] {
        memory(state).filter { !["supervisor", "postgres", "redis"].contains($0.name) }
    }

    private static func memory(_ state: StateFolder) -> [Memory] {
        RunningProcess.all(of: state).map { process in
            // Ended meanwhile: it has none.
            let text = (try? String(contentsOfFile: "/proc/\(process.pid)/smaps_rollup", encoding: .utf8)) ?? ""
            let line = text.split(separator: "\n").first { $0.hasPrefix("Pss:") }
            let pss = line?.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
            return Memory(name: process.name, rss: Double(process.residentBytes) / 1_048_576, pss: pss / 1024)
        }
    }

    private static func drain(_ world: BenchWorld) async throws {
        let redis = Redis(
            try RedisConfiguration(url: world.redis),
            logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        let end = ContinuousClock.now + .seconds(300)
        for list in ["bull:inbound:wait", "bull:inbound:active"] {
            while ContinuousClock.now < end, try await redis.command(["LLEN", .string(list)]).integer ?? 0 > 0 {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        await redis.shutdown()
    }

    var cells: [String] {
        func sum(_ processes: [Memory], _ value: (Memory) -> Double) -> String {
            processes.map(value).reduce(0, +).whole
        }
        return [
            name, "\(idle.count)", ready.inSeconds.short, sum(idle, \.rss), sum(idle, \.pss), sum(loaded, \.rss),
            sum(loaded, \.pss), supervisor?.rss.whole ?? "",
        ]
    }

    /// Each process, or of many the least, the middle and the most.
    var processes: [[String]] {
        let ordered = loaded.sorted { $0.rss < $1.rss }
        let shown =
            ordered.count <= 5
            ? loaded.map { ("", $0) }
            : [
                ("least: ", ordered[0]), ("middle: ", ordered[ordered.count / 2]),
                ("most: ", ordered[ordered.count - 1]),
            ]
        return shown.map { remark, process in
            let before = idle.first { $0.name == process.name }
            return [name, remark + process.name, before?.rss.short ?? "", process.rss.short]
        }
    }
}

/// The same requests directly, through a gateway, and without prepared statements, in turn.
private struct HopRun {
    let world: BenchWorld
    let organisation: BenchOrganisation
    let rounds: Int
    let seconds: Int

    private struct Way {
        let name: String
        let base: String
        /// Whose processor time counts.
        let processes: [ChildProcess]
    }

    private struct Request {
        let name: String
        let path: String
        let connections: Int
        let ways: [Way]
    }

    func measure() async throws {
        let direct = Way(
            name: "directly",
            base: world.base,
            processes: [try await world.host(["--group", "api"])]
        )
        let gateway = try await gatewayed()
        let port = world.nextPort()
        let plain = Way(
            name: "directly, DATABASE_PREPARE=off",
            base: "http://127.0.0.1:\(port)",
            processes: [
                try await world.host(["--group", "api"], port: port, settings: ["DATABASE_PREPARE": "off"])
            ]
        )
        let tickets = "/orgs/\(organisation.id)/tickets"
        let requests = [
            Request(name: "GET /health", path: "/health", connections: 64, ways: [direct, gateway]),
            Request(name: "a page without data", path: "/accept-invite", connections: 1, ways: [direct, gateway]),
            Request(name: "a page without data", path: "/accept-invite", connections: 64, ways: [direct, gateway]),
            Request(name: "ticket list", path: tickets, connections: 1, ways: [direct, gateway, plain]),
            Request(name: "ticket list", path: tickets, connections: 64, ways: [direct, gateway, plain]),
        ]
        for way in [direct, gateway, plain] {
            let headers = try await authorization
            // The first find cold processes.
            _ = try await Load.run(
                world,
                path: tickets,
                connections: 16,
                seconds: 2,
                headers: headers,
                at: way.base,
                measuring: []
            )
        }
        var loads: [String: [Load]] = [:]
        for _ in 0..<rounds {
            for request in requests {
                for way in request.ways {
                    let load = try await Load.run(
                        world,
                        path: request.path,
                        connections: request.connections,
                        seconds: seconds,
                        headers: try await authorization,
                        at: way.base,
                        measuring: way.processes
                    )
                    loads[title(request, way), default: []].append(load)
                }
            }
        }
        print(
            Table(
                Load.headings,
                rows: requests.flatMap { request in
                    request.ways.map { way in
                        let ordered = (loads[title(request, way)] ?? []).sorted { $0.rate < $1.rate }
                        return [title(request, way)] + ordered[ordered.count / 2].cells
                    }
                }
            )
        )
        print("The gateway answers GET /health itself.")
    }

    private var authorization: [String] {
        get async throws { ["Authorization: Bearer \(try await organisation.token(in: world))"] }
    }

    private func title(_ request: Request, _ way: Way) -> String {
        "\(request.name) c=\(request.connections) \(way.name)"
    }

    /// A host on a unix socket and the gateway before it, as `runner up --processes` starts them.
    private func gatewayed() async throws -> Way {
        let (host, gateway, port) = try await world.gateway(hosting: "api")
        return Way(name: "through the gateway", base: "http://127.0.0.1:\(port)", processes: [host, gateway])
    }
}
