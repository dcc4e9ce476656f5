package import Foundation

/// `runner up` in a checkout of its own, with its private servers, and hosts as the run's ``ProductShape`` has them.
package final class RunningUp: Sendable {
    package let folder: String
    package let port: Int
    private let process = LockedProcess()
    private let options: [String]
    private let build: String?

    /// Starts it, with further options, and waits until it serves, or with `--engines` until its servers can be reached.
    ///
    /// With `build`, a line for the shell in the place of `swift build` that finds the folder as `$1`, the sources are watched.
    package init(_ options: [String] = [], build: String? = nil) async throws {
        let isSettled = options.contains { $0 == "--engines" || $0.hasPrefix("--processes") }
        self.options = options + (isSettled ? [] : ProductShape.current.options)
        self.build = build
        port = try FreePort.find()
        // Not below TMPDIR: a socket's path holds at most 107 bytes.
        folder = "/tmp/delightchat-up-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in ["functions.yaml", "Package.swift"] {
            try FileManager.default.copyItem(atPath: "\(Checkout.root)/\(name)", toPath: "\(folder)/\(name)")
        }
        if build != nil { try write("struct A {}", to: "Sources/A.swift") }
        try await start()
    }

    deinit {
        process.stop()
        try? FileManager.default.removeItem(atPath: folder)  // a folder that stays is in nobody's way
    }

    package var api: APIClient { APIClient(base: "http://127.0.0.1:\(port)") }
    package var arguments: [String] {
        ["up"] + (build == nil ? ["--no-watch"] : []) + ["--port", String(port)] + options
    }
    package var pid: pid_t { process.pid }
    package var log: String { process.log }

    package func start() async throws {
        let inherited = ProcessInfo.processInfo.environment
        try process.start(
            executable: Checkout.executable,
            arguments: arguments,
            environment: [
                "PATH": inherited["PATH"] ?? "", "HOME": inherited["HOME"] ?? "/tmp", "RUNNER_BUILD": build ?? "",
            ],
            folder: folder
        )
        do {
            try await becomeReady()
        } catch {
            throw NotReady(log: log)
        }
    }

    package func becomeReady() async throws {
        _ = try await eventually(within: ProductShape.current.patience) {
            if options.contains("--engines") { return log.contains("the servers run") ? true : nil }
            let answer = try? await api.get("/ready")  // not there yet: asked again
            return answer?.status == 200 ? true : nil
        }
    }

    /// Writes a file of the checkout, its folders too, as an editor that renames does.
    package func write(_ text: String, to name: String) throws {
        let file = URL(fileURLWithPath: "\(folder)/\(name)")
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file, options: .atomic)
    }

    /// Waits until it has said that so often.
    package func says(_ text: String, times: Int = 1) async throws {
        do {
            _ = try await eventually(within: ProductShape.current.patience) {
                log.components(separatedBy: text).count > times ? true : nil
            }
        } catch {
            throw NotReady(log: log)
        }
    }

    /// The process that hosts the functions, or of several the one of `get-me`; while they are swapped, the older.
    package var host: ProcessIdentity? {
        ProcessIdentity.descendants(of: pid).first {
            $0.command.contains(" serve ") && ($0.command.contains(" --all") || $0.command.contains(" get-me "))
        }
    }

    /// Ends the supervisor, and nothing else, as a crash would.
    package func kill() { process.kill() }

    /// Ctrl-C.
    package func stop() { process.stop(SIGINT) }

    struct NotReady: Error, CustomStringConvertible {
        let log: String
        var description: String { "runner up did not become ready:\n\(log)" }
    }
}

/// A process of this machine; its start tells it from a later one with the same number.
package struct ProcessIdentity: Sendable, Hashable, CustomStringConvertible {
    package let pid: pid_t
    package let command: String
    private let began: String
    private let parent: pid_t

    package var description: String { "\(pid) \(command)" }

    /// Whether it still runs; one that only waits to be collected doesn't.
    package var isAlive: Bool {
        guard let now = ProcessIdentity(pid) else { return false }
        return now.began == began
    }

    /// The processes that this one has started, and those that they have.
    package static func descendants(of pid: pid_t) -> [ProcessIdentity] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []  // no /proc: nobody
        let all = names.compactMap { pid_t($0) }.compactMap(ProcessIdentity.init)
        var found: [ProcessIdentity] = []
        var parents: Set<pid_t> = [pid]
        while true {
            let next = all.filter { parents.contains($0.parent) && !found.contains($0) }
            if next.isEmpty { return found }
            found += next
            parents.formUnion(next.map(\.pid))
        }
    }

    private init?(_ pid: pid_t) {
        // Gone meanwhile: as good as never there.
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", let parent = pid_t(fields[1]) else { return nil }
        let words = (try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)) ?? ""  // gone meanwhile
        self.pid = pid
        self.parent = parent
        began = String(fields[19])
        command = words.replacing("\0", with: " ")
    }
}
