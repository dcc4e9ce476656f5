import Foundation

/// A build and what belongs to the hosts that run it.
package struct Generation: Sendable, Equatable {
    /// 1 for what `runner up` was started with.
    package var number: Int
    /// An absolute path.
    package let executable: String
    /// The product of the build, and functions.yaml, as they were.
    let product: FileStamp?
    let manifest: FileStamp?
}

/// A place that one process after another takes: the only host's, or that of one of several.
struct Member {
    let name: String
    let log: HostLog
    /// Where its processes accept; none while nobody is to take the place.
    var listener: Listener?
    var process: HostProcess?
    /// What it runs, or is started again with after a crash.
    var generation: Generation
    var restarts = RestartPolicy()
    var starts = 0
    var isReady = false
    /// It ended in a way that starting it again can't mend.
    var isGivenUp = false
    /// The old process that accepts still, though the present one could.
    var holder: HostProcess?

    var title: String { Self.title(name) }
    var isGateway: Bool { name == HostLaunch.gateway }

    static func title(_ name: String) -> String { name == HostLaunch.only ? "the host" : name }
}

/// One process that hosts functions, or the gateway, with the line to it.
final class HostProcess: Sendable {
    let name: String
    let generation: Generation
    let process: ChildProcess
    /// Where it notes what it is at work on. Not shared: the file is made anew while an older process still writes.
    let inFlight: String
    private let link: HostLink

    /// - Parameters:
    ///   - command: what to start.
    ///   - generation: what it belongs to.
    ///   - listener: where it accepts.
    ///   - log: takes what it writes.
    ///   - state: where its traces lie.
    /// - Throws: ``FleetError`` when it can't be started.
    init(
        _ command: HostLaunch,
        _ generation: Generation,
        on listener: Listener,
        log: HostLog,
        state: StateFolder
    ) async throws {
        let link = try HostLink()
        defer { link.release() }
        let output = try log.open()
        defer { close(output) }
        inFlight = state.inFlight(command.name, generation.number)
        let given = ["RUNNER_SUPERVISOR_FD": "3", "RUNNER_LISTEN_FD": "4", "RUNNER_INFLIGHT": inFlight]
        var launch = Launch(
            name: "\(command.name)-\(generation.number)",
            executable: command.executable,
            arguments: command.arguments,
            environment: command.environment.merging(given) { $1 }
        )
        launch.output = output
        launch.control = link.hostEnd
        launch.socket = listener.descriptor
        process = try await ChildProcess.start(launch)
        name = command.name
        self.generation = generation
        self.link = link
        state.record(process)
    }

    /// Calls `line` for each line that it sends, until it is gone.
    func read(_ line: @escaping @Sendable (String) -> Void) { link.read(line) }

    /// Lets it accept connections, as nobody else does.
    func accept() { link.send("accept") }

    /// Asks it to end because its successor could serve; it says `released` once that may accept.
    func retire() { link.send("retire") }
}
