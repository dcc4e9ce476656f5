package import Foundation

/// A process of a running `runner up`.
package struct RunningProcess: Sendable, Equatable {
    /// `supervisor`, `host` or `gateway` with the groups or functions behind it, `postgres`, `redis`, or the tool of a reload:
    /// `build`, `check`, `migrate`.
    package let name: String
    /// Of a host or the gateway: 1 for what it all began with, more for each reload and restart.
    package let generation: Int?
    package let pid: pid_t
    package let since: Date
    /// Memory that it has in use, shared pages too; PostgreSQL's is that of its first process alone.
    package let residentBytes: Int

    /// Those of a checkout, the supervisor first; empty while `runner up` doesn't run there.
    package static func all(of state: StateFolder) -> [RunningProcess] {
        guard let holder = StateLock.holder(state.lock),
            let supervisor = RunningProcess(name: "supervisor", pid: holder.pid)
        else { return [] }
        let children = state.recorded().compactMap { name -> RunningProcess? in
            // A record whose process is gone, or that is being written, tells nothing.
            guard let text = try? String(contentsOfFile: state.record(of: name), encoding: .utf8),
                let record = ProcessRecord(text: text), record.isRunning
            else { return nil }
            return RunningProcess(name: name, pid: record.pid)
        }
        return [supervisor] + children
    }

    private init?(name: String, pid: pid_t) {
        guard let record = ProcessRecord(runningAs: pid),
            let memory = try? String(contentsOfFile: "/proc/\(pid)/statm", encoding: .utf8),
            let pages = memory.split(separator: " ").dropFirst().first.flatMap({ Int($0) }),
            let booted = Self.booted
        else { return nil }  // Gone meanwhile.
        let parts = name.split(separator: "-")
        generation = parts.count > 1 ? parts.last.flatMap { Int($0) } : nil
        self.name = generation == nil ? name : parts.dropLast().joined(separator: "-")
        self.pid = pid
        since = Date(timeIntervalSince1970: booted + Double(record.startTicks) / Double(sysconf(Int32(_SC_CLK_TCK))))
        residentBytes = pages * sysconf(Int32(_SC_PAGESIZE))
    }

    /// When the machine started, in seconds since 1970.
    private static var booted: Double? {
        // Unreadable only where /proc isn't mounted.
        guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Double($0.dropFirst(6)) }
    }
}
