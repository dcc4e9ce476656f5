package import Foundation

/// One thing that `runner doctor` looked at.
package struct Check: Sendable, Equatable {
    package enum Verdict: String, Sendable, Equatable {
        case good
        /// It works, but not as it should.
        case doubtful
        /// `runner up` cannot work like this.
        case bad
    }

    /// Two or three words, unique in a list.
    package let title: String
    package let verdict: Verdict
    /// What was found, completing the title.
    package let finding: String
    /// What to do; `nil` when nothing needs doing.
    package let remedy: String?

    package init(_ title: String, _ verdict: Verdict, _ finding: String, remedy: String? = nil) {
        self.title = title
        self.verdict = verdict
        self.finding = finding
        self.remedy = remedy
    }
}

/// What a machine and a checkout are like, as far as `runner up` depends on it.
package struct MachineFacts: Sendable, Equatable {
    /// The first line of `swift --version`; `nil` without a toolchain.
    package var swift: String?
    /// Versions by the name in pkg-config; absent ones are not installed.
    package var libraries: [String: String] = [:]
    /// Major versions, the newest first.
    package var postgresVersions: [String] = []
    /// The version in `.runner/postgres`; `nil` before the first start.
    package var clusterVersion: String?
    /// The first line of `redis-server --version`.
    package var redis: String?
    package var hasSetpriv = false
    package var isRoot = false
    package var hasPostgresUser = false
    package var port = 3000
    package var portUser: String?
    package var lockHolder: StateLock.Holder?
    package var freeBytes: Int64 = 0
    /// The owner of `.runner` when it is someone else.
    package var foreignOwner: String?
    /// The permissions of `.runner/env`; `nil` before the first start.
    package var secretsMode: mode_t?
    package var descriptorLimit: UInt64 = 0
    package var usesGivenDatabase = false
    package var usesGivenRedis = false

    package init() {}
}

/// Judges whether a checkout can be built and run here, and says what to do where it cannot.
package enum Doctor {
    /// Looks at the machine; starts a few programs to ask for their versions, changes nothing.
    package static func look(at state: StateFolder, port: Int, environment: [String: String]) async -> MachineFacts {
        var facts = MachineFacts()
        facts.swift = await Tool.firstLine("swift", ["--version"], environment: environment)
        for library in ["libpq", "hiredis", "libcrypto"] {
            let version = await Tool.firstLine("pkg-config", ["--modversion", library], environment: environment)
            facts.libraries[library] = version
        }
        facts.postgresVersions = PostgresPrograms.installed.map(\.version)
        // Absent before the first start.
        facts.clusterVersion = try? String(contentsOfFile: "\(state.postgres)/PG_VERSION", encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        if let redis = PrivateRedis.executable {
            facts.redis = await Tool.firstLine(redis, ["--version"], environment: environment)
        }
        facts.hasSetpriv = Tool.path(of: "setpriv", environment: environment) != nil
        facts.isRoot = StateFolder.isRoot
        facts.hasPostgresUser = getpwnam("postgres") != nil
        facts.port = port
        facts.lockHolder = StateLock.holder(state.lock)
        facts.portUser = facts.lockHolder?.port == port ? nil : Port.user(of: port)
        var disk = statvfs()
        if statvfs(state.root, &disk) == 0 { facts.freeBytes = Int64(disk.f_bavail) * Int64(disk.f_frsize) }
        var file = stat()
        if stat(state.path, &file) == 0, file.st_uid != geteuid() { facts.foreignOwner = Files.userName(file.st_uid) }
        if stat(state.secrets, &file) == 0 { facts.secretsMode = file.st_mode & 0o777 }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            facts.descriptorLimit = UInt64(limit.rlim_max)
        }
        facts.usesGivenDatabase = !(environment["DATABASE_URL"] ?? "").isEmpty
        facts.usesGivenRedis = !(environment["REDIS_URL"] ?? "").isEmpty
        return facts
    }

    /// The verdicts, in the order in which things are needed.
    package static func judge(_ facts: MachineFacts) -> [Check] {
        [toolchain(facts)] + libraries(facts) + [postgres(facts), redis(facts), setpriv(facts)]
            + [state(facts), secrets(facts), lock(facts), port(facts), disk(facts), descriptors(facts)]
    }

    private static func toolchain(_ facts: MachineFacts) -> Check {
        let remedy = "install Swift 6.3: https://www.swift.org/install"
        guard let text = facts.swift else { return Check("Swift", .bad, "is not on PATH", remedy: remedy) }
        guard let version = text.firstMatch(of: /Swift version (\d+)\.(\d+)[^ ]*/),
            let major = Int(version.1), let minor = Int(version.2)
        else { return Check("Swift", .doubtful, "has a version that is not understood: \(text)") }
        let found = String(version.0.dropFirst("Swift version ".count))
        guard (major, minor) >= (6, 2) else {
            return Check("Swift", .bad, "is \(found), too old", remedy: remedy)
        }
        return Check("Swift", .good, found)
    }

    private static func libraries(_ facts: MachineFacts) -> [Check] {
        [("libpq", "libpq-dev"), ("hiredis", "libhiredis-dev"), ("libcrypto", "libssl-dev")].map { name, package in
            guard let version = facts.libraries[name] else {
                return Check(name, .bad, "is not installed", remedy: "run runner/setup, or: apt-get install \(package)")
            }
            return Check(name, .good, version)
        }
    }

    private static func postgres(_ facts: MachineFacts) -> Check {
        let title = "PostgreSQL"
        if facts.usesGivenDatabase { return Check(title, .good, "is the one of DATABASE_URL") }
        guard let newest = facts.postgresVersions.first else {
            return Check(title, .bad, "is not installed", remedy: "run runner/setup, or: apt-get install postgresql")
        }
        if facts.isRoot, !facts.hasPostgresUser {
            return Check(
                title,
                .bad,
                "refuses to run as root, and there is no user postgres",
                remedy: "start as an ordinary user, or: adduser --system --group postgres"
            )
        }
        guard let written = facts.clusterVersion else { return Check(title, .good, newest) }
        guard facts.postgresVersions.contains(written) else {
            return Check(
                title,
                .bad,
                "is \(newest), but .runner/postgres was written by \(written)",
                remedy: "apt-get install postgresql-\(written), or start with --fresh, which throws its data away"
            )
        }
        return Check(title, .good, written)
    }

    private static func redis(_ facts: MachineFacts) -> Check {
        if facts.usesGivenRedis { return Check("Redis", .good, "is the one of REDIS_URL") }
        guard let text = facts.redis else {
            let remedy = "run runner/setup, or: apt-get install redis-server"
            return Check("Redis", .bad, "is not installed", remedy: remedy)
        }
        let found = text.firstMatch(of: /v=([0-9]+)\.([0-9.]+)/)
        guard let found, let major = Int(found.1) else {
            return Check("Redis", .doubtful, "has a version that is not understood: \(text)")
        }
        let version = "\(found.1).\(found.2)"
        guard major >= 6 else {
            return Check("Redis", .bad, "is \(version), too old", remedy: "install Redis 6.2 or newer")
        }
        return Check("Redis", .good, version)
    }

    private static func setpriv(_ facts: MachineFacts) -> Check {
        facts.hasSetpriv
            ? Check("setpriv", .good, "is there")
            : Check("setpriv", .bad, "is not on PATH", remedy: "apt-get install util-linux")
    }

    private static func state(_ facts: MachineFacts) -> Check {
        guard let owner = facts.foreignOwner else { return Check(".runner", .good, "is ours") }
        return Check(".runner", .bad, "belongs to \(owner)", remedy: "start as \(owner), or remove the folder")
    }

    private static func secrets(_ facts: MachineFacts) -> Check {
        switch facts.secretsMode {
        case nil: Check("secrets", .good, "are made by the first runner up")
        case 0o600?, 0o400?: Check("secrets", .good, "can be read by their owner alone")
        case let mode?:
            Check(
                "secrets",
                .bad,
                "can be read by others (mode \(String(mode, radix: 8)))",
                remedy: "chmod 600 .runner/env, and make new ones if somebody may have read them"
            )
        }
    }

    private static func lock(_ facts: MachineFacts) -> Check {
        Check("runner up", .good, facts.lockHolder.map { "runs here (\($0))" } ?? "is not running here")
    }

    private static func port(_ facts: MachineFacts) -> Check {
        let title = "port \(facts.port)"
        if facts.lockHolder?.port == facts.port { return Check(title, .good, "is in use by runner up") }
        guard let user = facts.portUser else { return Check(title, .good, "is free") }
        return Check(title, .bad, "is in use by \(user)", remedy: "stop it, or choose another: runner up --port")
    }

    private static func disk(_ facts: MachineFacts) -> Check {
        let mebibytes = facts.freeBytes >> 20
        let finding = mebibytes < 4096 ? "\(mebibytes) MiB free" : "\(mebibytes >> 10) GiB free"
        if mebibytes < 200 { return Check("disk", .bad, finding, remedy: "free some: PostgreSQL stops on a full disk") }
        if mebibytes < 3072 {
            return Check("disk", .doubtful, finding, remedy: "free some: a debug build takes up to 3 GiB")
        }
        return Check("disk", .good, finding)
    }

    private static func descriptors(_ facts: MachineFacts) -> Check {
        let finding = "at most \(facts.descriptorLimit)"
        guard facts.descriptorLimit >= 4096 else {
            return Check("open files", .doubtful, finding, remedy: "raise the hard limit: ulimit -Hn 65536")
        }
        return Check("open files", .good, finding)
    }
}
