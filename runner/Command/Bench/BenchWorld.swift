import ArgumentParser
import Fleet
import Foundation
import Logging
import Postgres
import Redis
import Schema
import Synchronization

/// A PostgreSQL, a Redis and hosts of a measurement's own, in a folder that goes with it.
final class BenchWorld {
    let base: String
    let database: String
    let owner: String
    let redis: String
    /// A superuser's, whom no policy binds.
    var unbound: String { owner.replacing("delightchat_owner", with: "postgres") }
    private let port: Int
    private var lastPort: Int
    private var checkouts = 0
    private let root: String
    private let manifest: String
    private let console = Console()
    private var postgresServer: (any PrivateServer)?
    private var redisServer: (any PrivateServer)?
    private var postgresProcess: ChildProcess?
    private var redisProcess: ChildProcess?
    private var hosts: [ChildProcess] = []

    /// Starts the servers and brings the schema up.
    static func make(_ bundle: Bundle) async throws -> BenchWorld {
        let root = "/tmp/delightchat-bench-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(
            atPath: root,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o711]
        )
        let state = StateFolder(root: root)
        try state.prepare()
        let environment = ProcessInfo.processInfo.environment
        let places = try await ServerPlaces(state, environment: environment)
        let postgres = try PrivatePostgres(state, places: places)
        let redis = PrivateRedis(state, places: places)
        let world = BenchWorld(
            root: root,
            manifest: bundle.file.path,
            database: postgres.applicationURL,
            owner: postgres.ownerURL,
            redis: redis.url
        )
        (world.postgresServer, world.redisServer) = (postgres, redis)
        world.postgresProcess = try await postgres.start(world.console)
        world.redisProcess = try await redis.start(world.console)
        _ = try await SchemaUpdate.run(ownerURL: world.owner)
        try await SchemaUpdate.admit(world.database, ownerURL: world.owner)
        return world
    }

    private init(root: String, manifest: String, database: String, owner: String, redis: String) {
        self.root = root
        self.manifest = manifest
        self.database = database
        self.owner = owner
        self.redis = redis
        port = 20_000 + Int(ProcessInfo.processInfo.processIdentifier) % 10_000
        lastPort = 31_000 + Int(ProcessInfo.processInfo.processIdentifier) % 1000
        base = "http://127.0.0.1:\(port)"
    }

    /// The socket that pgbench connects to, as its `-h`.
    var postgresSocketFolder: String {
        URLComponents(string: owner)?.queryItems?.first { $0.name == "host" }?.value ?? ""
    }

    /// The socket that redis-benchmark connects to, as its `-s`.
    var redisSocket: String {
        URL(string: redis)?.path ?? ""
    }

    /// Starts a host and waits until it is ready.
    @discardableResult
    func host(_ arguments: [String], port: Int? = nil, settings: [String: String] = [:]) async throws -> ChildProcess {
        let port = port ?? self.port
        let host = try await run(
            ["serve", "-f", manifest, "--port", String(port)] + arguments,
            environment: self.settings.merging(settings) { _, new in new }
        )
        try await becomeReady(host, port)
        return host
    }

    /// Starts a host of one group behind a gateway, and waits until both are ready.
    func gateway(hosting group: String) async throws -> (host: ChildProcess, gateway: ChildProcess, port: Int) {
        let (socket, port) = ("\(root)/\(group).sock", nextPort())
        let host = try await run(
            ["serve", "-f", manifest, "--group", group, "--behind-gateway", "--socket", socket],
            environment: settings
        )
        let gateway = try await run(
            ["gateway", "-f", manifest, "--port", String(port), "--upstream", "\(group)=unix:\(socket)"],
            environment: ["LOG_LEVEL": "warning"]
        )
        try await becomeReady(gateway, port)
        return (host, gateway, port)
    }

    /// Starts `runner up` with these servers in a checkout of its own, and waits until everything is ready.
    func up(_ options: [String]) async throws -> (process: ChildProcess, state: StateFolder, took: Duration) {
        checkouts += 1
        let folder = "\(root)/up\(checkouts)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: manifest, toPath: folder + "/functions.yaml")
        // Nothing is built; with this file the folder is a checkout.
        try "".write(toFile: folder + "/Package.swift", atomically: true, encoding: .utf8)
        let inherited = ProcessInfo.processInfo.environment
        let began = ContinuousClock.now
        let process = try await run(
            ["up", "--no-watch", "--port", String(port)] + options,
            environment: settings.merging([
                "DATABASE_OWNER_URL": owner, "PATH": inherited["PATH"] ?? "/usr/bin:/bin", "HOME": folder,
            ]) { _, new in new },
            in: folder
        )
        while ContinuousClock.now < began + .seconds(300), process.status == nil {
            // Made by the first line.
            let log = (try? String(contentsOfFile: folder + "/host.log", encoding: .utf8)) ?? ""
            if log.contains("ready in ") {
                return (process, StateFolder(root: folder), began.duration(to: .now))
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw ValidationError("runner up did not become ready; see \(folder)/host.log")
    }

    /// What every host is given.
    private var settings: [String: String] {
        [
            "DATABASE_URL": database, "REDIS_URL": redis, "LOG_LEVEL": "warning",
            "JWT_SECRET": "a secret of the measurement, long enough", "PUBLIC_URL": base,
            "ENCRYPTION_KEY": String(repeating: "0123456789abcdef", count: 4),
        ]
    }

    private func becomeReady(_ process: ChildProcess, _ port: Int) async throws {
        for _ in 0..<600 {
            // Not there yet.
            if (try? await Tool.run("curl", ["-sf", "http://127.0.0.1:\(port)/ready"])) != nil { return }
            guard process.status == nil else { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ValidationError("The host did not become ready.\n\(log)")
    }

    /// Starts this executable, to end with the world; in a folder that holds its log, where one is given.
    func run(
        _ arguments: [String],
        environment: [String: String],
        in folder: String? = nil
    ) async throws -> ChildProcess {
        guard let executable = Checkout.executable else { throw ValidationError("can't find my own executable") }
        var launch = Launch(name: "host", executable: executable, arguments: arguments, environment: environment)
        if let folder {
            launch.executable = "/bin/sh"
            launch.arguments = ["-c", #"cd "$0" && exec "$@""#, folder, executable] + arguments
        }
        let log = (folder ?? root) + "/host.log"
        launch.log = log
        let child = try await ChildProcess.start(launch)
        hosts.append(child)
        return child
    }

    /// What the hosts wrote.
    var log: String {
        (try? String(contentsOfFile: root + "/host.log", encoding: .utf8)) ?? ""  // nothing was written
    }

    /// Another port for every process that is started at the same time.
    func nextPort() -> Int {
        lastPort += 1
        return lastPort
    }

    /// Ends PostgreSQL as an administrator would, every connection with it, and starts it again.
    func restartPostgres() async throws {
        _ = await postgresProcess?.stop(SIGINT, grace: .seconds(20))
        postgresProcess = try await postgresServer?.start(console)
    }

    /// Ends Redis as a loss of power would and starts it again.
    func restartRedis() async throws {
        _ = await redisProcess?.stop(SIGKILL, grace: .zero)
        redisProcess = try await redisServer?.start(console)
    }

    /// The host that was started first.
    var firstHost: ChildProcess? { hosts.first }

    /// Resident memory of the first host in MiB.
    var residentMiB: Double { firstHost?.residentMiB.now ?? 0 }

    /// A file that goes with the world.
    func write(_ name: String, _ text: String) throws -> String {
        let path = root + "/" + name
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// A JSON request of the measurement's set-up; its answer's body.
    func request(_ method: String, _ path: String, _ body: String, token: String? = nil) async throws -> [String: Any] {
        var arguments = ["-sS", "-X", method, base + path, "-H", "Content-Type: application/json", "-d", body]
        if let token { arguments += ["-H", "Authorization: Bearer \(token)"] }
        let text = try await Tool.run("curl", arguments)
        guard let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
            throw ValidationError("\(path) answered \(text)")
        }
        return object
    }

    /// A session of the application's role.
    func postgres() -> Postgres {
        Postgres(
            PostgresConfiguration(url: database),
            logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
        )
    }

    func end() async {
        for host in hosts { _ = await host.stop(SIGTERM, grace: .seconds(10)) }
        for server in [redisProcess, postgresProcess] { _ = await server?.stop(SIGINT, grace: .seconds(10)) }
        try? FileManager.default.removeItem(atPath: root)  // a folder in /tmp that is left does no harm
    }
}

extension ChildProcess {
    /// Processor time so far; 0 once the process has ended.
    var cpuSeconds: Double {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return 0 }
        let fields = text[end...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Resident memory in MiB, and the most that it ever was; 0 once the process has ended.
    var residentMiB: (now: Double, peak: Double) {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""  // it has ended
        func value(_ label: String) -> Double {
            guard let range = text.range(of: label) else { return 0 }
            return (Double(text[range.upperBound...].drop(while: \.isWhitespace).prefix { $0.isNumber }) ?? 0) / 1024
        }
        return (value("VmRSS:"), value("VmHWM:"))
    }
}

/// An organisation made for a measurement.
final class BenchOrganisation: Sendable {
    let id: String
    let user: String
    let session: String
    let channel: String
    private let email: String
    private let pass: Mutex<(token: String, since: ContinuousClock.Instant)>

    private static let password = "correct horse battery"

    private init(id: String, user: String, session: String, token: String, channel: String, email: String) {
        self.id = id
        self.user = user
        self.session = session
        self.channel = channel
        self.email = email
        pass = Mutex((token, .now))
    }

    static func make(in world: BenchWorld, email: String = "ada@example.com") async throws -> BenchOrganisation {
        let answer = try await world.request(
            "POST",
            "/auth/signup",
            #"{"organisationName":"Bench","name":"Ada","email":"\#(email)","password":"\#(password)"}"#
        )
        guard let token = answer["accessToken"] as? String,
            let id = (answer["organisation"] as? [String: Any])?["id"] as? String,
            let user = (answer["user"] as? [String: Any])?["id"] as? String,
            let session = claim("sid", of: token)
        else { throw ValidationError("signing up failed: \(answer)") }
        let channel = try await world.request(
            "POST",
            "/orgs/\(id)/channels",
            #"{"type":"mock","name":"Bench"}"#,
            token: token
        )
        guard let channelId = channel["id"] as? String else { throw ValidationError("no channel: \(channel)") }
        return BenchOrganisation(
            id: id,
            user: user,
            session: session,
            token: token,
            channel: channelId,
            email: email
        )
    }

    /// An access token that lasts five minutes at least, of the fifteen that one does.
    func token(in world: BenchWorld) async throws -> String {
        let (token, since) = pass.withLock { $0 }
        guard since.duration(to: .now) > .seconds(600) else { return token }
        let answer = try await world.request(
            "POST",
            "/auth/login",
            #"{"email":"\#(email)","password":"\#(Self.password)"}"#
        )
        // While a server is being restarted; what there is lasts for five minutes yet.
        guard let next = answer["accessToken"] as? String else { return token }
        pass.withLock { $0 = (next, .now) }
        return next
    }

    private static func claim(_ name: String, of token: String) -> String? {
        var payload = String(token.split(separator: ".").dropFirst().first ?? "")
        payload = payload.replacing("-", with: "+").replacing("_", with: "/")
        payload += String(repeating: "=", count: (4 - payload.count % 4) % 4)
        guard let data = Data(base64Encoded: payload) else { return nil }
        let claims = try? JSONSerialization.jsonObject(with: data) as? [String: Any]  // made by us a moment ago
        return claims?[name] as? String
    }
}
