package import Foundation

/// Which process a pid file means: a number alone may have passed to another process since.
package struct ProcessRecord: Sendable, Equatable {
    package let pid: pid_t
    /// When it started, in clock ticks since the machine did (field 22 of /proc/PID/stat).
    package let startTicks: UInt64

    /// The process of this number, if there is one (and it is more than a zombie).
    package init?(runningAs pid: pid_t) {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let record = Self(pid: pid, stat: text)
        else { return nil }  // A file that can't be read is a process that has gone.
        self = record
    }

    /// Reads `/proc/PID/stat`; the command's name may hold anything, so fields are counted from its last bracket.
    init?(pid: pid_t, stat: String) {
        guard let bracket = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: bracket)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X", let ticks = UInt64(fields[19]) else { return nil }
        self.pid = pid
        startTicks = ticks
    }

    /// Reads what ``text`` wrote; `nil` when it is anything else.
    package init?(text: String) {
        let parts = text.split(whereSeparator: \.isWhitespace)
        guard parts.count == 2, let pid = pid_t(parts[0]), pid > 1, let ticks = UInt64(parts[1]) else { return nil }
        self.pid = pid
        startTicks = ticks
    }

    package var text: String { "\(pid) \(startTicks)\n" }

    /// Whether that very process still runs.
    package var isRunning: Bool { ProcessRecord(runningAs: pid) == self }

    /// Ends what an earlier supervisor left running, first by `signal`, after `grace` by SIGKILL.
    ///
    /// - Returns: whether there was anything to end.
    package func end(_ signal: Int32, grace: Duration) async -> Bool {
        guard isRunning else { return false }
        kill(pid, signal)
        let deadline = ContinuousClock.now + grace
        while isRunning {
            if ContinuousClock.now > deadline { kill(pid, SIGKILL) }
            // Cancelled: goes on without pause until the process has gone, which SIGKILL makes certain.
            try? await Task.sleep(for: .milliseconds(20))
        }
        return true
    }
}
