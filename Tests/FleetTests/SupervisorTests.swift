import Foundation
import Synchronization
import Testing

@testable import Fleet

/// A supervisor over a shell script in the host's place, and what it said.
final class Trial: Sendable {
    let folder: TemporaryFolder
    let state: StateFolder
    private let hosts: [String]
    private let said = Mutex<[String]>([])
    private let supervisor = Mutex<Supervisor?>(nil)

    init(hosts: [String] = [HostLaunch.only]) throws {
        self.hosts = hosts
        folder = try TemporaryFolder()
        state = StateFolder(root: folder.path)
        chmod(folder.path, 0o755)
    }

    var lines: [String] { said.withLock { $0 } }

    func hasSaid(_ text: String) -> Bool { lines.contains { $0.contains(text) } }

    func count(_ text: String) -> Int { lines.count { $0.contains(text) } }

    /// What the tools of a reload do, as lines for the shell; each finds the folder as `$D`.
    struct Tools {
        var build = "touch $D/product.new && mv $D/product.new $D/product"
        var check = ""
        var migrate = ""
    }

    /// Runs `script` as the host; servers are private when `environment` gives none.
    func run(
        _ script: String,
        options: UpOptions = UpOptions(),
        environment: [String: String] = ["DATABASE_URL": "postgres://a", "REDIS_URL": "redis://r"],
        drainLimit: Duration = .seconds(30),
        gatewayLead: Duration = .seconds(60),
        tools: Tools = Tools(),
        migrate: @escaping @Sendable (Addresses) async throws -> [String] = { _ in [] }
    ) async throws -> Int32 {
        var options = options
        if options.port == nil { options.port = freePort() }
        let supervisor = Supervisor(
            try UpPlan(options, environment: environment),
            state: state,
            steps: UpSteps(
                confirm: { _ in nil },
                reload: ReloadTools(
                    executable: "/bin/sh",
                    product: "\(folder.path)/product",
                    build: { self.shell("build", tools.build) },
                    check: { _ in self.shell("check", tools.check) },
                    migrate: { _, _ in self.shell("migrate", tools.migrate) }
                ),
                inspectRedis: { _ in ["may lose a second of writes"] },
                migrate: migrate,
                seed: { _ in ["demo data is in"] },
                hosts: { addresses, _ in
                    let environment = ["PATH": "/usr/bin:/bin", "D": self.folder.path, "DB": addresses.database]
                    return self.hosts.map { name in
                        HostLaunch(
                            name: name,
                            executable: "/bin/sh",
                            arguments: ["-c", script],
                            environment: environment.merging(["NAME": name]) { $1 },
                            socket: [HostLaunch.only, HostLaunch.gateway].contains(name)
                                ? nil : "\(self.folder.path)/\(name).sock"
                        )
                    }
                },
                inFlight: { _ in ["assign-ticket r1"] },
                banner: { addresses in ["serving with \(addresses.redis)"] }
            ),
            console: Console { line in self.said.withLock { $0.append(line) } },
            environment: environment,
            drainLimit: drainLimit,
            gatewayLead: gatewayLead,
            watchInterval: .milliseconds(20)
        )
        self.supervisor.withLock { $0 = supervisor }
        return await supervisor.run()
    }

    private func shell(_ name: String, _ script: String) -> Launch {
        Launch(
            name: name,
            executable: "/bin/sh",
            arguments: ["-c", script],
            environment: ["PATH": "/usr/bin:/bin", "D": folder.path]
        )
    }

    func signal(_ number: Int32) {
        supervisor.withLock { $0 }?.receive(number)
    }

    /// The pid of a child that was started under this name.
    func pid(of name: String) -> pid_t? {
        let text = try? String(contentsOfFile: state.record(of: name), encoding: .utf8)
        return text.flatMap(ProcessRecord.init(text:))?.pid
    }
}

/// Signals are the whole test process's, so one supervisor at a time lives in it.
@Suite(.serialized) struct SupervisorTests {
    static let server = "trap 'echo drained >$D/drained; exit 0' TERM; echo ready >&3; while :; do sleep 0.05; done"

    @Test func drainsOnASignalAndSaysSo() async throws {
        let trial = try Trial()
        let run = Task { try await trial.run(Self.server) }
        try #require(await eventually { trial.hasSaid("serving with redis://r") }, "\(trial.lines)")

        kill(getpid(), SIGTERM)
        let status = try await run.value

        #expect(status == 0)
        #expect(access("\(trial.folder.path)/drained", F_OK) == 0)
        #expect(trial.hasSaid("ready in"))
        #expect(trial.hasSaid("the Redis of REDIS_URL may lose a second of writes"))
        #expect(trial.hasSaid("draining"))
        #expect(StateLock.holder(trial.state.lock) == nil)
    }

    @Test func startsACrashedHostAgainAndNamesWhatWasInFlight() async throws {
        let trial = try Trial()
        let script = "if [ ! -e $D/once ]; then touch $D/once; echo ready >&3; kill -ABRT $$; fi; " + Self.server
        let run = Task { try await trial.run(script) }
        try #require(await eventually { trial.hasSaid("the host serves again") }, "\(trial.lines)")

        trial.signal(SIGTERM)
        let status = try await run.value

        #expect(status == 0)
        #expect(trial.hasSaid("signal 6 (SIGABRT)"))
        #expect(trial.hasSaid("in flight: assign-ticket r1"))
    }

    @Test func endsWithAHostThatStartingAgainCannotMend() async throws {
        let trial = try Trial()

        let status = try await trial.run("exit 3")

        #expect(status == 3)
        #expect(trial.hasSaid("exit status 3"))
    }

    @Test func endsAHostThatDoesNotDrainInTime() async throws {
        let trial = try Trial()
        let run = Task {
            try await trial.run(
                "trap '' TERM; echo ready >&3; while :; do sleep 0.05; done",
                drainLimit: .milliseconds(300)
            )
        }
        try #require(await eventually { trial.hasSaid("ready in") }, "\(trial.lines)")

        trial.signal(SIGTERM)
        let status = try await run.value

        #expect(status == 0)
        #expect(trial.hasSaid("has not ended within 300 ms"))
    }

    @Test func endsAtOnceOnASecondSignal() async throws {
        let trial = try Trial()
        let run = Task { try await trial.run("trap '' TERM; echo ready >&3; while :; do sleep 0.05; done") }
        try #require(await eventually { trial.hasSaid("ready in") }, "\(trial.lines)")

        trial.signal(SIGINT)
        try #require(await eventually { trial.hasSaid("draining") }, "\(trial.lines)")
        trial.signal(SIGINT)
        let status = try await run.value

        #expect(status == 130)
    }

    @Test func endsWhenTheMigrationFails() async throws {
        let trial = try Trial()

        let status = try await trial.run(Self.server) { _ in throw FleetError("0007 failed") }

        #expect(status == 1)
        #expect(trial.hasSaid("error: 0007 failed"))
        #expect(!trial.hasSaid("ready in"))
    }

    @Test func stopsDuringTheStart() async throws {
        let trial = try Trial()
        let run = Task {
            try await trial.run(Self.server) { _ in
                try await Task.sleep(for: .seconds(60))
                return []
            }
        }
        try #require(await eventually { StateLock.holder(trial.state.lock) != nil }, "\(trial.lines)")

        trial.signal(SIGINT)
        let status = try await run.value

        #expect(status == 130)
    }

    @Test func saysWhoRunsHereAlready() async throws {
        let trial = try Trial()
        try trial.state.prepare()
        let lock = try StateLock.take(trial.state.lock, port: 3000)

        let status = try await trial.run(Self.server)

        #expect(status == 1)
        #expect(trial.hasSaid("already running here (pid \(getpid()), since "))
        withExtendedLifetime(lock) {}
    }

    @Test func asksForAnotherPortWhenItsOwnIsTaken() async throws {
        let trial = try Trial()
        let port = freePort()
        let listener = try await ChildProcess.start(
            Launch(
                name: "listener",
                executable: "/usr/bin/env",
                arguments: [
                    "redis-server", "--port", "\(port)", "--save", "", "--bind", "127.0.0.1", "--loglevel", "warning",
                ],
                environment: ["PATH": "/usr/bin:/bin"]
            )
        )
        #expect(await eventually { Port.user(of: port) != nil })
        var options = UpOptions()
        options.port = port

        let status = try await trial.run(Self.server, options: options)
        _ = await listener.stop(SIGKILL, grace: .seconds(5))

        #expect(status == 1)
        #expect(trial.hasSaid("port \(port) is in use by"))
    }

    @Test func runsServersOfItsOwnAndKeepsThemRunning() async throws {
        let trial = try Trial()
        let run = Task { try await trial.run("echo $DB >$D/db; " + Self.server, environment: [:]) }
        try #require(await eventually { trial.hasSaid("serving with unix://") }, "\(trial.lines)")
        let database = try String(contentsOfFile: "\(trial.folder.path)/db", encoding: .utf8)

        let redis = try #require(trial.pid(of: "redis"))
        kill(redis, SIGKILL)
        try #require(await eventually { trial.hasSaid("redis serves again") }, "\(trial.lines)")
        let postgres = try #require(trial.pid(of: "postgres"))
        kill(postgres, SIGKILL)
        try #require(await eventually { trial.hasSaid("postgres serves again") }, "\(trial.lines)")
        trial.signal(SIGTERM)
        let status = try await run.value

        #expect(status == 0)
        #expect(database.hasPrefix("postgres://delightchat_api@/delightchat?host="))
        #expect(trial.hasSaid("demo data is in"))
        #expect(mode(of: trial.state.postgres) == 0o700)
        #expect(trial.pid(of: "postgres") == nil)
        #expect(trial.pid(of: "redis") == nil)
    }

    @Test func wipesOnlyWithAnAnswer() async throws {
        let trial = try Trial()
        var options = UpOptions()
        options.fresh = true

        let status = try await trial.run(Self.server, options: options, environment: [:])

        #expect(status == 1)
        #expect(trial.hasSaid("--fresh asks first, and there is no terminal to ask on; add --yes"))
    }
}

@Suite struct ChildProcessTests {
    @Test func givesItsEnvironmentAndNothingElse() async throws {
        let folder = try TemporaryFolder()
        var launch = Launch(
            name: "env",
            executable: "/usr/bin/env",
            arguments: [],
            environment: ["A": "1", "B": "x y"]
        )
        launch.log = "\(folder.path)/log"

        let status = try await ChildProcess.start(launch).exit()
        let text = try String(contentsOfFile: "\(folder.path)/log", encoding: .utf8)

        #expect(status == .exited(0))
        #expect(text.split(separator: "\n").sorted() == ["A=1", "B=x y"])
    }

    @Test func isKilledWhenItDoesNotStopInTime() async throws {
        let folder = try TemporaryFolder()
        let script = "trap '' TERM; touch \(folder.path)/trapped; while :; do sleep 0.05; done"
        let child = try await ChildProcess.start(
            Launch(
                name: "sh",
                executable: "/bin/sh",
                arguments: ["-c", script],
                environment: ["PATH": "/usr/bin:/bin"]
            )
        )
        #expect(await eventually { access("\(folder.path)/trapped", F_OK) == 0 })

        let status = await child.stop(SIGTERM, grace: .milliseconds(200))

        #expect(status == .signalled(SIGKILL))
        #expect(await child.exit() == .signalled(SIGKILL))
    }

    @Test func isToldOfTheDeathOfItsParent() async throws {
        let folder = try TemporaryFolder()
        var launch = Launch(
            name: "setpriv",
            executable: "/usr/bin/setpriv",
            arguments: ["--dump"],
            environment: ["PATH": "/usr/bin:/bin"]
        )
        launch.deathSignal = "INT"
        launch.log = "\(folder.path)/log"

        let status = try await ChildProcess.start(launch).exit()
        let text = try String(contentsOfFile: "\(folder.path)/log", encoding: .utf8)

        #expect(status == .exited(0))
        #expect(text.contains("Parent death signal: INT"))
    }

    @Test func saysWhatIsMissing() async {
        await #expect(throws: FleetError("/nowhere/at/all is not there or not executable")) {
            try await ChildProcess.start(
                Launch(name: "x", executable: "/nowhere/at/all", arguments: [], environment: [:])
            )
        }
    }
}

@Suite struct ServerPlacesTests {
    @Test func knowsHowLongASocketsPathMayBe() {
        let fits = "/" + String(repeating: "a", count: 107 - 1 - "/postgres/.s.PGSQL.5432".utf8.count)

        #expect(ServerPlaces.socketsFit(below: fits))
        #expect(!ServerPlaces.socketsFit(below: fits + "a"))
    }

    @Test func escapesWhatAURLCannotHold() {
        #expect(urlEncoded("/srv/a b/%20?&c") == "/srv/a%20b/%2520%3F%26c")
        #expect(urlEncoded("/srv/Delight-Chat_1.0~x") == "/srv/Delight-Chat_1.0~x")
    }
}
