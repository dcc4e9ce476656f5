import Foundation

/// A build and what belongs to the hosts that run it.
package struct Generation: Sendable, Equatable {
    /// 1 for what `runner up` was started with.
    package let number: Int
    /// An absolute path.
    package let executable: String
    /// Where its host notes what it is at work on. Not shared: the file is made anew while an older host still writes.
    package let inFlight: String
    /// The product of the build, and functions.yaml, as they were.
    let product: FileStamp?
    let manifest: FileStamp?
}

/// One process that hosts the functions, with the line to it.
final class HostProcess: Sendable {
    let generation: Generation
    let process: ChildProcess
    private let link: HostLink

    init(_ command: HostLaunch, _ generation: Generation, on listener: Listener, state: StateFolder) async throws {
        let link = try HostLink()
        defer { link.release() }
        var launch = Launch(
            name: "host-\(generation.number)",
            executable: command.executable,
            arguments: command.arguments,
            environment: command.environment.merging(["RUNNER_SUPERVISOR_FD": "3", "RUNNER_LISTEN_FD": "4"]) { $1 }
        )
        launch.control = link.hostEnd
        launch.socket = listener.descriptor
        process = try await ChildProcess.start(launch)
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
