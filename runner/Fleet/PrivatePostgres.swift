import Foundation

/// The PostgreSQL of one checkout: a cluster under `.runner/postgres`, reached only through a unix socket in a folder
/// that nobody else can enter, which is why its roles have no passwords.
package struct PrivatePostgres: PrivateServer {
    package let name = "postgres"
    /// Fast shutdown: ends the sessions, writes a checkpoint.
    package let stopSignal = SIGINT

    private let state: StateFolder
    private let places: ServerPlaces
    private let programs: PostgresPrograms
    /// Only tells the socket's name apart: nothing listens on TCP.
    private let port = 5432

    /// - Throws: ``FleetError`` when no PostgreSQL is installed that can read the cluster.
    package init(_ state: StateFolder, places: ServerPlaces) throws(FleetError) {
        self.state = state
        self.places = places
        programs = try PostgresPrograms(forDataOf: places.postgresData)
    }

    /// For `DATABASE_URL`: the log-in that row-level security binds.
    package var applicationURL: String { url(user: "delightchat_api") }
    /// For `DATABASE_OWNER_URL`: owns the database and may make roles, but is no superuser.
    package var ownerURL: String { url(user: "delightchat_owner") }
    package var version: String { programs.version }

    private func url(user: String) -> String {
        "postgres://\(user)@/delightchat?host=\(urlEncoded(places.postgresSockets))&port=\(port)"
    }

    package func start(_ console: Console) async throws -> ChildProcess {
        if !Files.exists("\(places.postgresData)/PG_VERSION") {
            try await console.step("making the database cluster") { try await makeCluster() }
        }
        state.rotateLog(of: name)
        return try await console.step("starting PostgreSQL") {
            // The servers of a supervisor that was killed may take a moment to let go of the cluster.
            var tries = 0
            while true {
                tries += 1
                do { return try await startOnce() } catch let error as FleetError where tries < 4 && isBusy {
                    console.warn("\(error.message); trying again")
                    try await Task.sleep(for: .seconds(1))
                }
            }
        }
    }

    private func startOnce() async throws -> ChildProcess {
        var launch = Launch(
            name: name,
            executable: programs.path(of: "postgres"),
            // Connections enough for a process for each function; those that nobody makes cost next to nothing.
            arguments: [
                "-D", places.postgresData, "-k", places.postgresSockets, "-p", "\(port)",
                "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "max_connections=500",
                "-c", "logging_collector=off",
                "-c", "log_destination=stderr", "-c", "timezone=UTC", "-c", "log_timezone=UTC", "-c", "jit=off",
            ],
            environment: Self.environment
        )
        launch.log = state.log(of: name)
        launch.user = places.postgresUser
        launch.deathSignal = "INT"
        let process = try await ChildProcess.start(launch)
        state.record(process)
        do {
            let deadline = ContinuousClock.now + .seconds(300)
            while !isReady(process.pid) {
                if let status = process.status { throw failure("PostgreSQL ended while starting (\(status))") }
                if ContinuousClock.now > deadline { throw failure("PostgreSQL was not ready after five minutes") }
                try await Task.sleep(for: .milliseconds(10))
            }
            return process
        } catch {
            await stop(process, state: state)
            throw error
        }
    }

    /// postmaster.pid names the process in its first line and its state in the eighth.
    private func isReady(_ pid: pid_t) -> Bool {
        // Not there yet: not ready.
        guard let text = try? String(contentsOfFile: "\(places.postgresData)/postmaster.pid", encoding: .utf8)
        else { return false }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.count > 7 && lines[0] == "\(pid)" && lines[7].hasPrefix("ready")
    }

    private var isBusy: Bool {
        let tail = logTail(state.log(of: name), lines: 3)
        return tail.contains("still in use") || tail.contains("already exists") || tail.contains("already in use")
    }

    private func failure(_ message: String) -> FleetError {
        FleetError("\(message); its log says:\n\(logTail(state.log(of: name)))")
    }

    // MARK: - The cluster

    /// Makes the cluster beside its place and moves it there when it is whole, so that no half of one is ever started.
    private func makeCluster() async throws {
        let beside = "\(places.postgresData).new"
        try Files.remove(beside)
        // A data folder without PG_VERSION is the rest of something that was cut short.
        if Files.linkTarget(places.postgresData) == nil { try Files.remove(places.postgresData) }
        try Files.makeFolder(beside, mode: 0o700)
        if let user = places.postgresUser { try Files.give(beside, to: user) }

        let statements = "\(state.path)/bootstrap.sql"
        do { try Self.bootstrap.write(toFile: statements, atomically: true, encoding: .utf8) } catch {
            throw FleetError("could not write \(statements): \(error.localizedDescription)")
        }
        defer { unlink(statements) }
        try await run(
            "initdb",
            [
                "-D", beside, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
                "--data-checksums",
            ]
        )
        let said = try await run("postgres", ["--single", "-D", beside, "postgres"], input: statements)
        guard !said.contains("ERROR:") else {
            throw FleetError("the new cluster refused its roles:\n\(logTail(log))")
        }
        guard rename(beside, places.postgresData) == 0 else {
            throw FleetError("could not move \(beside) into place: \(String(cString: strerror(errno)))")
        }
        unlink(log)
    }

    /// In single-user mode every line is one statement.
    private static let bootstrap = """
        CREATE ROLE delightchat_owner LOGIN CREATEROLE
        CREATE ROLE delightchat_app NOLOGIN
        CREATE ROLE delightchat_api LOGIN IN ROLE delightchat_app
        GRANT delightchat_app TO delightchat_owner WITH ADMIN OPTION
        CREATE DATABASE delightchat OWNER delightchat_owner

        """

    private var log: String { state.log(of: "postgres-setup") }

    /// Runs one of PostgreSQL's programs to its end and returns what it said.
    @discardableResult
    private func run(_ program: String, _ arguments: [String], input: String? = nil) async throws -> String {
        unlink(log)
        var launch = Launch(
            name: program,
            executable: programs.path(of: program),
            arguments: arguments,
            environment: Self.environment
        )
        launch.input = input
        launch.log = log
        launch.user = places.postgresUser
        let status = try await ChildProcess.start(launch).exit()
        guard status == .exited(0) else {
            throw FleetError("\(program) failed (\(status)):\n\(logTail(log))")
        }
        // It has been written by the program that just succeeded; unreadable means silent.
        return (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
    }

    /// Nothing of the caller's: PGDATA, PGPORT and their like would redirect the server.
    private static let environment = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"]
}

/// The folder of one installed PostgreSQL.
package struct PostgresPrograms: Sendable, Equatable {
    package let folder: String
    /// The major version, such as `15`.
    package let version: String

    package init(folder: String, version: String) {
        self.folder = folder
        self.version = version
    }

    func path(of program: String) -> String { "\(folder)/\(program)" }

    /// All that are installed where Debian puts them, the newest first.
    package static var installed: [PostgresPrograms] {
        let base = "/usr/lib/postgresql"
        // No such folder: none is installed.
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
        return
            versions
            .compactMap { name in Int(name) }
            .sorted(by: >)
            .map { PostgresPrograms(folder: "\(base)/\($0)/bin", version: "\($0)") }
            .filter { Files.exists($0.path(of: "postgres")) && Files.exists($0.path(of: "initdb")) }
    }

    /// The version that wrote the data, or the newest for data that is yet to be made.
    init(forDataOf folder: String) throws(FleetError) {
        let installed = Self.installed
        guard let newest = installed.first else {
            throw FleetError("PostgreSQL is not installed", remedy: "run runner/setup")
        }
        // Absent: the cluster is yet to be made.
        guard let written = try? String(contentsOfFile: "\(folder)/PG_VERSION", encoding: .utf8) else {
            self = newest
            return
        }
        let version = written.trimmingCharacters(in: .whitespacesAndNewlines)
        guard let match = installed.first(where: { $0.version == version }) else {
            throw FleetError(
                "the private database was written by PostgreSQL \(version); installed is \(newest.version)",
                remedy: "apt-get install postgresql-\(version), or start with --fresh, which throws its data away"
            )
        }
        self = match
    }
}
