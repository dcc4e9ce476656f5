import ArgumentParser
import Fleet
import Foundation
import Functions
import Host
import Logging
import Manifest
import Postgres
import Redis
import Schema
import Security
import Simulate

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs everything here: a private PostgreSQL and Redis where none is given, and all functions.",
        discussion: """
            Started by the script runner/up, which sets the machine up and builds first.

            Examples:
              runner up
              runner up --port 4000 --only api
              runner up --fresh --yes        begin with empty private servers
              runner up --processes          a process for each group, behind a gateway
              runner up --processes=function a process for each function
              runner up --engines            PostgreSQL and Redis alone
              runner up --simulate           with WhatsApp, Messenger, Instagram, X and LinkedIn on this machine
              DATABASE_URL=… REDIS_URL=… runner up
            """
    )

    @Option(help: "Where to listen; 3000 unless PORT says else.")
    var port: Int?

    @Option(help: "Only these functions or groups; may be given more than once.")
    var only: [String] = []

    @Flag(help: "Empty the private servers first.")
    var fresh = false

    @Flag(help: "Answer the question of --fresh with yes.")
    var yes = false

    @Flag(help: "Put demo data into a database that is not private, too.")
    var seed = false

    @Flag(help: "Only the private PostgreSQL and Redis: nothing is migrated or hosted.")
    var engines = false

    @Flag(help: "Simulate the providers, too, with a channel of the demo organisation connected to each.")
    var simulate = false

    @Option(help: "Where the simulated providers listen.")
    var simulatePort = SimulateCommand.usualPort

    @Option(
        name: .customLong("processes"),
        defaultAsFlag: .group,
        parsing: .next,
        help: "A process for each group behind a gateway, or with =function for each function."
    )
    var shape: Split.Shape? = nil

    @Flag(help: "Build and run with optimisation.")
    var release = false

    @Flag(
        inversion: .prefixedNo,
        help: "Rebuild when a source changes, and swap hosts once the new one serves."
    )
    var watch = true

    func run() async throws {
        guard let root = Checkout.root() else {
            throw ValidationError("There is no checkout here: runner up needs functions.yaml and Package.swift.")
        }
        let bundle = try Bundle(root + "/functions.yaml")
        let manifest = try bundle.manifest()
        _ = try bundle.pairs(of: manifest)
        let environment = Bootstrap.withAliases(try bundle.environment(files: [".env"]))
        let console = Console(environment: environment)
        var options = UpOptions()
        options.port = port
        options.only = only
        options.fresh = fresh
        options.yes = yes
        options.seed = seed || simulate
        options.release = release
        options.watch = watch
        options.engines = engines
        options.shape = shape.map { $0 == .group ? .perGroup : .perFunction } ?? .together
        let status: Int32
        do {
            let plan = try UpPlan(options, environment: environment)
            let state = StateFolder(root: root)
            let selection = try Selection(only, manifest)
            let demo = DemoAccount(state: state)
            let stage = simulate ? SimulatedStage(hostPort: plan.port, port: simulatePort) : nil
            let supervisor = Supervisor(
                plan,
                state: state,
                steps: UpSteps(
                    confirm: { Question.ask($0) },
                    reload: try ReloadTools(root: root, isRelease: release, environment: environment),
                    inspectRedis: { url in await RedisInspection.remarks(url) },
                    migrate: { addresses in try await SchemaUpdate.run(addresses) },
                    seed: { addresses in
                        let lines = try await demo.seed(addresses)
                        guard let stage else { return lines }
                        let secrets = try Self.secrets(state, environment).values
                        return try await lines + stage.open(addresses, demo, environment.merging(secrets) { $1 })
                    },
                    hosts: { addresses, generation in
                        let alone = try launch(
                            generation,
                            addresses,
                            plan: plan,
                            state: state,
                            selection: selection,
                            environment: environment
                        )
                        guard plan.shape != .together else { return [alone] }
                        return try Split(plan, bundle.manifest()).launches(alone, state: state)
                    },
                    inFlight: { InFlight.read(path: $0) },
                    engines: { addresses in try Self.announce(addresses, state: state, environment: environment) },
                    banner: { _ in banner(plan, demo: demo, state: state, mails: Self.mailFolder(state, environment)) }
                ),
                console: console,
                environment: environment
            )
            status = await supervisor.run()
        } catch let error as FleetError {
            console.fail(error.description)
            throw ExitCode(1)
        }
        throw ExitCode(status)
    }

    private func launch(
        _ generation: Generation,
        _ addresses: Addresses,
        plan: UpPlan,
        state: StateFolder,
        selection: Selection,
        environment: [String: String]
    ) throws -> HostLaunch {
        let secrets = try Self.secrets(state, environment)
        var environment = environment.merging(secrets.values) { given, _ in given }
        if simulate {
            let stage = SimulatedStage(hostPort: plan.port, port: simulatePort)
            environment.merge(stage.settings) { _, simulated in simulated }
        }
        environment["DATABASE_URL"] = addresses.database
        environment["REDIS_URL"] = addresses.redis
        environment["PORT"] = String(plan.port)
        if environment["PUBLIC_URL"] == nil { environment["PUBLIC_URL"] = "http://localhost:\(plan.port)" }
        environment["MAIL_DIR"] = Self.mailFolder(state, environment)
        if (environment["ATTACHMENTS_URL"] ?? "").isEmpty {
            environment["ATTACHMENTS_URL"] = "file:\(state.attachments)"
        }
        // Receivers of webhooks that are tried out on this machine.
        if environment["EGRESS_ALLOW"] == nil { environment["EGRESS_ALLOW"] = "127.0.0.0/8, ::1" }
        // Swift's own takes seconds to find the stack of a trap, and so long nobody serves.
        if environment["SWIFT_BACKTRACE"] == nil { environment["SWIFT_BACKTRACE"] = "enable=no" }
        // Never the owner's URL: the host can't do more than the application's role may.
        environment["DATABASE_OWNER_URL"] = nil
        // What hosts write goes through this process to the terminal, if there is one.
        if isatty(STDOUT_FILENO) == 1, environment["NODE_ENV"] != "production" {
            if (environment["LOG_FORMAT"] ?? "").isEmpty { environment["LOG_FORMAT"] = "pretty" }
            if environment["NO_COLOR"] == nil { environment["CLICOLOR_FORCE"] = "1" }
        }
        try Self.keep(addresses, state)
        return HostLaunch(
            executable: generation.executable,
            arguments: ["serve", "-f", state.root + "/functions.yaml"] + selection.arguments,
            environment: environment
        )
    }

    /// Made once; later runs and `runner serve` find them in `.runner/env`.
    private static func secrets(_ state: StateFolder, _ environment: [String: String]) throws -> Secrets {
        try Secrets(
            file: state.secrets,
            making: ["JWT_SECRET", "ENCRYPTION_KEY", "METRICS_TOKEN"],
            environment: environment
        )
    }

    /// Lets commands in other terminals find the private servers.
    private static func keep(_ addresses: Addresses, _ state: StateFolder) throws {
        guard addresses.isDatabaseOurs else { return }
        let own = PrivateAddresses(
            database: addresses.database,
            owner: addresses.databaseOwner,
            redis: addresses.redis
        )
        try own.write(root: state.root)
    }

    /// What another terminal needs to work with the servers alone.
    private static func announce(
        _ addresses: Addresses,
        state: StateFolder,
        environment: [String: String]
    ) throws -> [String] {
        _ = try secrets(state, environment)
        try keep(addresses, state)
        var lines = ["", "the servers run; Ctrl-C stops them. In another terminal:", ""]
        if addresses.isDatabaseOurs {
            lines += [
                "  export DATABASE_URL='\(addresses.database)'",
                "  export DATABASE_OWNER_URL='\(addresses.databaseOwner)'",
            ]
        }
        if addresses.isRedisOurs { lines.append("  export REDIS_URL='\(addresses.redis)'") }
        return lines + ["  runner db migrate && runner serve --all", ""]
    }

    /// Where mails become files; `nil` where they go to a server.
    private static func mailFolder(_ state: StateFolder, _ environment: [String: String]) -> String? {
        func given(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        return given("MAIL_URL") == nil ? given("MAIL_DIR") ?? state.mail : nil
    }

    private func banner(_ plan: UpPlan, demo: DemoAccount, state: StateFolder, mails: String?) -> [String] {
        var lines = [
            "", "DelightChat is at http://localhost:\(plan.port)",
            "  health   http://localhost:\(plan.port)/health",
            "  API      http://localhost:\(plan.port)/api/docs",
        ]
        if let account = demo.stored {
            lines += ["  log-in   \(account.email)  \(account.password)"]
            if let channel = account.channel {
                lines.append("  webhook  http://localhost:\(plan.port)/webhook/\(channel)")
            }
        }
        if simulate {
            lines.append("  customer runner simulate whatsapp --say 'Hello'    and so for \(SimulatedStage.others)")
        }
        if let mails { lines.append("  mail     each one is a file in \(mails), until MAIL_URL names a server") }
        lines += ["", "  export PATH=\"\(state.root)/.runner/bin:$PATH\"    then `runner` is a command", ""]
        return lines
    }
}

/// What `--only` names, as arguments of `runner serve`.
private struct Selection: Sendable {
    let arguments: [String]

    init(_ only: [String], _ manifest: Manifest) throws {
        guard !only.isEmpty else {
            arguments = ["--all"]
            return
        }
        let functions = Set(manifest.functions.map(\.name))
        let groups = Set(manifest.functions.map(\.group))
        arguments = try only.flatMap { name in
            if groups.contains(name) { return ["--group", name] }
            guard functions.contains(name) else {
                throw ValidationError("--only \(name) is neither a function nor a group. `runner list` names them all.")
            }
            return [name]
        }
    }
}

enum Question {
    /// Asks on the terminal; `nil` where there is none.
    static func ask(_ question: String) -> Bool? {
        guard isatty(STDIN_FILENO) == 1 else { return nil }
        FileHandle.standardError.write(Data("\(question) [y/N] ".utf8))
        return ["y", "yes"].contains(readLine()?.lowercased() ?? "")
    }
}

enum RedisInspection {
    /// What of acknowledged writes that Redis may lose.
    static func remarks(_ url: String) async -> [String] {
        guard let configuration = try? RedisConfiguration(url: url) else { return [] }  // the host says what is wrong
        let redis = Redis(configuration, logger: Logger(label: "redis", factory: { _ in SwiftLogNoOpLogHandler() }))
        defer { Task { await redis.shutdown() } }
        func value(_ name: String) async -> String? {
            guard let answer = try? await redis.command(["CONFIG", "GET", .string(name)]) else { return nil }
            return answer.array?.last?.string
        }
        var remarks: [String] = []
        if let appendonly = await value("appendonly"), appendonly != "yes" {
            remarks.append("REDIS_URL keeps no append-only file: a crash of it loses what webhooks were told is safe")
        } else if let fsync = await value("appendfsync"), fsync != "always" {
            remarks.append("REDIS_URL syncs \(fsync): a crash of its machine may lose up to a second of webhooks")
        }
        if let policy = await value("maxmemory-policy"), policy != "noeviction" {
            remarks.append("REDIS_URL evicts keys (\(policy)): queues need maxmemory-policy noeviction")
        }
        return remarks
    }
}

enum SchemaUpdate {
    /// Brings the schema up to date; says what it did.
    static func run(_ addresses: Addresses) async throws -> [String] {
        let lines: [String]
        do {
            lines = try await run(ownerURL: addresses.databaseOwner)
        } catch let error as MigrationError where addresses.isDatabaseOurs {
            // Usual after a branch was changed: what the private database holds is seldom worth more than the way on.
            throw FleetError("\(error)", remedy: "or begin with an empty private database: runner up --fresh")
        }
        try await admit(addresses.database, ownerURL: addresses.databaseOwner)
        return lines
    }

    static func run(ownerURL: String) async throws -> [String] {
        try await Owner.connected(ownerURL) { postgres in
            let applied = try await Migrator(postgres).migrate()
            return applied.isEmpty ? [] : ["applied \(applied.count) migration\(applied.count == 1 ? "" : "s")"]
        }
    }

    /// Lets the log-in of `url` be the application, once its schema is there.
    static func admit(_ url: String, ownerURL: String) async throws {
        guard let login = URL(string: url)?.user, url != ownerURL else { return }
        try await Owner.connected(ownerURL) { try await Schema.admit(login, in: $0) }
    }
}
