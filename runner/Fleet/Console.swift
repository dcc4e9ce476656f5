import Foundation

/// Writes the supervisor's own lines to the standard error, so that the standard output is the host's log alone.
package struct Console: Sendable {
    /// Whether lines may be coloured: only on a terminal, and not when `NO_COLOR` is set.
    package let isColoured: Bool
    private let write: @Sendable (String) -> Void

    /// The standard error of this process.
    package init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        isColoured = isatty(2) == 1 && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
        write = { line in
            var rest = Array(line.utf8)[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Foundation.write(2, $0.baseAddress, $0.count) }
                if count < 0 && errno == EINTR { continue }
                // A terminal that was closed, a pipe that nobody reads: the line is lost, and the work goes on.
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// A console that hands every line, newline included, to `write`.
    package init(isColoured: Bool = false, write: @escaping @Sendable (String) -> Void) {
        self.isColoured = isColoured
        self.write = write
    }

    /// Says what happened.
    package func note(_ line: String) {
        write("\(paint("36", "runner:")) \(line)\n")
    }

    /// Says what may be a mistake and goes on.
    package func warn(_ line: String) {
        write("\(paint("33", "runner: warning:")) \(line)\n")
    }

    /// Says what failed.
    package func fail(_ line: String) {
        write("\(paint("31", "runner: error:")) \(line)\n")
    }

    /// Text without a prefix, such as the addresses after the start.
    package func plain(_ line: String) {
        write("\(line)\n")
    }

    /// Does `work` and says that it is still going on whenever it takes longer than two seconds.
    package func step<T: Sendable>(
        _ title: String,
        isolation: isolated (any Actor)? = #isolation,
        _ work: () async throws -> T
    ) async rethrows -> T {
        let began = ContinuousClock.now
        let reminder = Task {
            for seconds in [2, 5, 10, 20, 30, 60, 120, 300] {
                // A cancelled sleep ends the reminder: the work is done.
                guard (try? await Task.sleep(until: began + .seconds(seconds))) != nil else { return }
                note("\(title) … \(seconds) s")
            }
        }
        defer { reminder.cancel() }
        return try await work()
    }

    private func paint(_ colour: String, _ text: String) -> String {
        isColoured ? "\u{1B}[\(colour)m\(text)\u{1B}[0m" : text
    }
}

extension Duration {
    /// `85 ms` below a second, `2.4 s` from there on.
    package var readable: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        return milliseconds < 1000 ? "\(milliseconds) ms" : "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s"
    }
}
