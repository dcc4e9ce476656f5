import ArgumentParser
import Fleet
import Foundation

/// Measurements of the product beside its parts, in the same run and on the same machine, so that their ratio holds where
/// the figures don't.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures the product beside its parts, in the same run.",
        discussion: """
            Starts a PostgreSQL, a Redis and a host of its own in a temporary folder. Needs wrk, pgbench and redis-benchmark
            (apt-get install wrk postgresql-contrib redis-tools), and a release build to mean anything:
            swift build -c release --product runner.

            Examples:
              runner bench tickets
              runner bench tickets --rows 100000 --seconds 20
              runner bench webhook
              runner bench queue
              runner bench campaign
              runner bench shapes
            """,
        subcommands: [
            BenchTickets.self, BenchWebhook.self, BenchQueue.self, BenchCampaign.self, BenchShapes.self,
        ]
    )

    struct Options: ParsableArguments {
        @Option(help: "How long each measurement runs.")
        var seconds = 10

        func validate() throws {
            guard (1...600).contains(seconds) else { throw ValidationError("--seconds is 1 to 600.") }
        }
    }
}

/// A program that measures, found on PATH or where Debian puts PostgreSQL's.
enum Tool {
    static func run(_ name: String, _ arguments: [String], environment: [String: String] = [:]) async throws -> String {
        let path = try path(name)
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                // Threads of the pool block every signal, and what they start inherits that: pgbench ends by SIGALRM.
                var none = sigset_t()
                sigemptyset(&none)
                pthread_sigmask(SIG_SETMASK, &none, nil)
                let process = Process()
                process.executableURL = URL(fileURLWithPath: path)
                process.arguments = arguments
                process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
                let pipe = Pipe()
                process.standardOutput = pipe
                process.standardError = pipe
                do {
                    try process.run()
                    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                    process.waitUntilExit()
                    guard process.terminationStatus == 0 else { throw ToolFailed(name: name, output: output) }
                    continuation.resume(returning: output)
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    private static func path(_ name: String) throws -> String {
        // Not Debian.
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        let folders =
            (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
            + versions.sorted().reversed().map { "/usr/lib/postgresql/\($0)/bin" }
        for folder in folders where FileManager.default.isExecutableFile(atPath: "\(folder)/\(name)") {
            return "\(folder)/\(name)"
        }
        throw ValidationError("\(name) is not installed: apt-get install wrk postgresql-contrib redis-tools")
    }

    struct ToolFailed: Error, CustomStringConvertible {
        let name: String
        let output: String
        var description: String { "\(name) failed:\n\(output)" }
    }
}

/// Requests per second and how long they took, in milliseconds.
struct Load {
    let rate: Double
    let p50: Double
    let p99: Double
    /// Microseconds of the hosts' processor time for one request.
    let cpu: Double
    let errors: Int

    /// Runs wrk against the host of the world's own address, or another of `base`, where `processes` spend the time for it.
    static func run(
        _ world: BenchWorld,
        path: String,
        connections: Int,
        seconds: Int,
        headers: [String] = [],
        script: String? = nil,
        at base: String? = nil,
        measuring processes: [ChildProcess]? = nil
    ) async throws -> Load {
        let measured = processes ?? [world.firstHost].compactMap(\.self)
        func spent() -> Double { measured.map(\.cpuSeconds).reduce(0, +) }
        let before = spent()
        var arguments = ["-t1", "-c\(connections)", "-d\(seconds)s", "--latency"]
        for header in headers { arguments += ["-H", header] }
        if let script { arguments += ["-s", script] }
        let output = try await Tool.run("wrk", arguments + [(base ?? world.base) + path])
        let used = spent() - before
        let rate = number(after: "Requests/sec:", in: output) ?? 0
        let total = Double(output.firstMatch(of: #/(\d+) requests in/#)?.output.1 ?? "0") ?? 0
        return Load(
            rate: rate,
            p50: milliseconds(after: "50%", in: output) ?? 0,
            p99: milliseconds(after: "99%", in: output) ?? 0,
            cpu: total > 0 ? used * 1_000_000 / total : 0,
            errors: Int(number(after: "Non-2xx or 3xx responses:", in: output) ?? 0)
        )
    }

    private static func number(after label: String, in text: String) -> Double? {
        guard let range = text.range(of: label) else { return nil }
        return Double(text[range.upperBound...].drop { $0 == " " }.prefix { $0.isNumber || $0 == "." })
    }

    private static func milliseconds(after label: String, in text: String) -> Double? {
        guard let range = text.range(of: label) else { return nil }
        let word = text[range.upperBound...].drop { $0 == " " }.prefix { !$0.isWhitespace }
        guard let value = Double(word.prefix { $0.isNumber || $0 == "." }) else { return nil }
        if word.hasSuffix("us") { return value / 1000 }
        if word.hasSuffix("ms") { return value }
        return value * 1000
    }

    var cells: [String] {
        [rate.whole, p50.short, p99.short, cpu.whole, errors == 0 ? "" : "\(errors) errors"]
    }

    static let headings = ["", "per second", "p50 ms", "p99 ms", "CPU µs", ""]
}

extension Double {
    var whole: String { String(Int(rounded())) }
    var short: String { String((self * 100).rounded() / 100) }
}
