import Foundation

/// The build that takes this supervisor's place, in the same process: what runs the hosts has changed itself.
///
/// The socket stays open meanwhile, so whoever connects waits instead of being refused. Hosts and servers don't live through it: the
/// kernel ends them with the thread that started them, and of this process no thread is left. So they are stopped in order before.
package struct Successor: Sendable {
    private static let variable = "RUNNER_SUCCEEDS"

    let executable: String
    /// Where the product listens; `nil` while nobody serves.
    let listener: Listener?

    /// What a predecessor left: the descriptor of its socket.
    package struct Inheritance: Sendable {
        let socket: Int32?
    }

    /// That of this process, once; `nil` when it succeeds none.
    package static func takeInheritance() -> Inheritance? {
        guard let text = getenv(variable).map({ String(cString: $0) }) else { return nil }
        // Not those that this process starts.
        unsetenv(variable)
        return Inheritance(socket: Int32(text))
    }

    /// Becomes the successor, with the arguments and the environment of this process.
    ///
    /// - Returns: only when that isn't possible.
    package func takeOver() -> FleetError {
        // Nothing else of this process is the successor's; what can't be read can't be closed either.
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in open.compactMap({ Int32($0) }) where descriptor > 2 {
            _ = fcntl(descriptor, F_SETFD, descriptor == listener?.descriptor ? 0 : FD_CLOEXEC)
        }
        setenv(Self.variable, listener.map { String($0.descriptor) } ?? "none", 1)
        // Threads of the pool block every signal, and the program would inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        var arguments = ([executable] + CommandLine.arguments.dropFirst()).map { strdup($0) }
        arguments.append(nil)
        execv(executable, arguments)
        return FleetError("could not start \(executable): \(String(cString: strerror(errno)))")
    }
}
