import Foundation

/// The folder `.runner` of a checkout: all that a private set-up keeps, and nothing that belongs into Git.
package struct StateFolder: Sendable, Equatable {
    /// The checkout, an absolute path without a trailing slash.
    package let root: String

    package init(root: String) {
        self.root = root
    }

    package var path: String { "\(root)/.runner" }
    package var lock: String { "\(path)/lock" }
    /// Secrets made for this checkout, readable by its owner alone.
    package var secrets: String { "\(path)/env" }
    /// Which functions are running in the host of that name and generation; written by the host, read after its death.
    func inFlight(_ host: String, _ generation: Int) -> String { "\(path)/run/inflight-\(host)-\(generation)" }
    /// A build under a name of its own, so that it stays when the next one replaces the product.
    package func executable(_ generation: Int) -> String { "\(path)/run/runner-\(generation)" }
    /// Holds the command `runner` alone, for PATH.
    package var commands: String { "\(path)/bin" }
    /// Mails as files, where no server is set that they could go to.
    package var mail: String { "\(path)/mail" }
    /// Files of received messages.
    package var attachments: String { "\(path)/attachments" }
    /// By which commands talk to the supervisor.
    var control: String { "\(path)/run/control" }
    package var postgres: String { "\(path)/postgres" }
    package var redis: String { "\(path)/redis" }

    package func log(of name: String) -> String { "\(path)/\(name).log" }
    package func record(of name: String) -> String { "\(path)/pids/\(name)" }

    /// A name for this checkout that is the same on every start and short enough for a socket's path.
    package var fingerprint: String {
        // FNV-1a, 64 bits: Swift's own hash differs from run to run.
        let hash = root.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return String(String(hash, radix: 16).suffix(10))
    }

    /// Whether servers run as the user `postgres`, who has to get through to his folder.
    static var isRoot: Bool { geteuid() == 0 }

    /// Makes the folder and its parts, open to nobody else (as root, `postgres` may pass through but see nothing).
    ///
    /// - Throws: ``FleetError`` when it cannot be made or belongs to another user.
    package func prepare() throws(FleetError) {
        let mode: mode_t = Self.isRoot ? 0o711 : 0o700
        for folder in [path, "\(path)/pids", "\(path)/run"] {
            try Files.makeFolder(folder, mode: mode)
        }
    }

    /// Adds a pid file for a child, so that a later start finds it should both this process and the kernel's signal fail.
    package func record(_ child: ChildProcess) {
        // A child that has already ended needs no record.
        guard let record = ProcessRecord(runningAs: child.pid) else { return }
        // Without the file only a leftover would go unnoticed, which the servers' own locks report.
        try? record.text.write(toFile: self.record(of: child.name), atomically: true, encoding: .utf8)
    }

    package func forget(_ name: String) {
        unlink(record(of: name))
    }

    /// Ends what an earlier supervisor left running under this name.
    package func endLeftover(_ name: String, _ signal: Int32, grace: Duration = .seconds(10)) async -> Bool {
        guard let text = try? String(contentsOfFile: record(of: name), encoding: .utf8),
            let record = ProcessRecord(text: text)
        else { return false }  // No pid file: it ended in order.
        let ended = await record.end(signal, grace: grace)
        forget(name)
        return ended
    }

    /// The children that an earlier supervisor recorded, by name: none, when it ended in order.
    func recorded() -> [String] {
        // No folder, no record.
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(path)/pids")) ?? []).sorted()
    }

    /// Gives a program a name of its own, without copying it.
    ///
    /// - Returns: that name, or the program's where the file systems differ.
    func keep(_ program: String, generation: Int) -> String {
        let name = executable(generation)
        unlink(name)
        return link(program, name) == 0 ? name : program
    }

    /// Removes the builds that no host runs any more.
    func forgetExecutables(except used: Set<String>) {
        for name in runtimeFiles where name.hasPrefix("runner-") && !used.contains("\(path)/run/\(name)") {
            unlink("\(path)/run/\(name)")
        }
    }

    /// Removes what an earlier supervisor's generations left.
    func forgetGenerations() {
        let prefixes = ["runner-", "inflight-", Self.socketPrefix]
        for name in runtimeFiles where prefixes.contains(where: { name.hasPrefix($0) }) {
            unlink("\(path)/run/\(name)")
        }
    }

    private var runtimeFiles: [String] {
        // No folder, nothing in it.
        (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/run")) ?? []
    }

    private static let socketPrefix = "host-"

    /// Where the hosts of these names listen, by name: below the folder, unless a socket's path would be too long there.
    package func sockets(
        _ names: [String],
        environment: [String: String]
    ) throws(FleetError) -> [String: String] {
        let files = names.map { "\(Self.socketPrefix)\($0).sock" }
        let longest = files.map(\.utf8.count).max() ?? 0
        var folder = "\(path)/run"
        if folder.utf8.count + 1 + longest > ServerPlaces.longestSocketPath {
            folder = try ServerPlaces.shortFolder(fingerprint, environment: environment)
        }
        return Dictionary(uniqueKeysWithValues: zip(names, files.map { "\(folder)/\($0)" }))
    }

    /// Tells the supervisor that runs here a line; false when none listens.
    package func tell(_ line: String) -> Bool { ControlPipe.tell(line, self) }

    /// Keeps a log from growing for ever: above 10 MiB it becomes `NAME.log.1`, whose predecessor goes.
    package func rotateLog(of name: String) {
        let file = log(of: name)
        var facts = stat()
        guard stat(file, &facts) == 0, facts.st_size > 10 << 20 else { return }
        rename(file, file + ".1")
    }

    /// Removes the private servers' data; the secrets stay, because they may seal what lies in another database.
    package func wipe() throws(FleetError) {
        for folder in [postgres, redis] {
            let target = Files.linkTarget(folder)
            try Files.remove(folder)
            if let target { try Files.remove(target) }
        }
    }
}

/// Small file-system steps whose failures name the path.
enum Files {
    /// Makes a folder, or gives the present one this mode; refuses a link and a folder of another user.
    static func makeFolder(_ path: String, mode: mode_t, owner: uid_t = geteuid()) throws(FleetError) {
        if mkdir(path, mode) != 0 && errno != EEXIST {
            throw FleetError("could not make \(path): \(String(cString: strerror(errno)))")
        }
        var facts = stat()
        guard lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR else {
            throw FleetError("\(path) is not a folder", remedy: "move it away")
        }
        guard facts.st_uid == owner || facts.st_uid == geteuid() else {
            throw FleetError(
                "\(path) belongs to \(userName(facts.st_uid)), not to \(userName(owner))",
                remedy: "start as \(userName(facts.st_uid)), or remove the folder"
            )
        }
        if facts.st_mode & 0o7777 != mode { chmod(path, mode) }
    }

    static func give(_ path: String, to user: String) throws(FleetError) {
        guard let entry = getpwnam(user) else {
            throw FleetError("there is no user \(user)", remedy: "apt-get install postgresql makes it")
        }
        guard lchown(path, entry.pointee.pw_uid, entry.pointee.pw_gid) == 0 else {
            throw FleetError("could not give \(path) to \(user): \(String(cString: strerror(errno)))")
        }
    }

    /// The folder that a symbolic link of ours points to.
    static func linkTarget(_ path: String) -> String? {
        // Anything but a link: there is no target.
        try? FileManager.default.destinationOfSymbolicLink(atPath: path)
    }

    static func remove(_ path: String) throws(FleetError) {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw FleetError("could not remove \(path): \(error.localizedDescription)")
        }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func userName(_ id: uid_t) -> String {
        getpwuid(id).map { String(cString: $0.pointee.pw_name) } ?? "user \(id)"
    }
}
