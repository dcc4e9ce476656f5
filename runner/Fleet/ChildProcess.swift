package import Foundation
import Synchronization

/// What to start, and how it is tied to this process.
package struct Launch: Sendable {
    /// What the supervisor calls it.
    package var name: String
    /// An absolute path.
    package var executable: String
    package var arguments: [String]
    /// The whole environment; nothing is inherited.
    package var environment: [String: String]
    /// The file that it reads as its standard input; nothing otherwise.
    package var input: String?
    /// The file that output and errors are added to; `nil` lets the child write where this process does.
    package var log: String?
    /// A descriptor of this process that output and errors go to where there is no log.
    package var output: Int32?
    /// The signal that the kernel sends the child when this process dies, however it dies.
    package var deathSignal: String = "KILL"
    /// The user to become, when this process is root and the child refuses to be.
    package var user: String?
    /// A descriptor of this process that the child finds under the number 3.
    package var control: Int32?
    /// One that it finds under the number 4. Of this process all three have numbers from 10 upwards.
    package var socket: Int32?

    package init(name: String, executable: String, arguments: [String], environment: [String: String]) {
        self.name = name
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
    }
}

/// A process that this one started, in a process group of its own (Ctrl-C at the terminal does not reach it).
package final class ChildProcess: Sendable {
    package let name: String
    package let pid: pid_t
    package let began = ContinuousClock.now

    private struct State {
        var status: ProcessEnd?
        var waiting: [CheckedContinuation<ProcessEnd, Never>] = []
    }
    private let state = Mutex(State())

    private init(name: String, pid: pid_t) {
        self.name = name
        self.pid = pid
        Thread.detachNewThread { self.reap() }
    }

    /// Starts a process.
    ///
    /// It is started through setpriv(1), which asks the kernel to end it with this process. "This process" means the
    /// thread that forked, so all children are started by one thread that never ends.
    ///
    /// - Throws: ``FleetError`` when the executable cannot be started.
    package static func start(_ launch: Launch) async throws -> ChildProcess {
        try await withCheckedThrowingContinuation { continuation in
            Spawner.shared.perform {
                continuation.resume(with: Result { ChildProcess(name: launch.name, pid: try spawn(launch)) })
            }
        }
    }

    /// Waits for the end; returns at once when it has come already.
    package func exit() async -> ProcessEnd {
        await withCheckedContinuation { continuation in
            let known = state.withLock { state in
                if state.status == nil { state.waiting.append(continuation) }
                return state.status
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    /// The status, once it has ended.
    package var status: ProcessEnd? { state.withLock { $0.status } }

    /// Sends a signal, unless the process has ended (its number may be another's by then).
    package func signal(_ number: Int32) {
        state.withLock { state in
            if state.status == nil { _ = kill(pid, number) }
        }
    }

    /// Asks it to end by `number` and, when it has not ended within `grace`, ends it.
    package func stop(_ number: Int32, grace: Duration) async -> ProcessEnd {
        signal(number)
        let impatience = Task {
            // Cancelled when the process ended in time: then there is nothing to kill.
            guard (try? await Task.sleep(for: grace)) != nil else { return }
            signal(SIGKILL)
        }
        let status = await exit()
        impatience.cancel()
        return status
    }

    /// Waits first and collects the status under the lock, so that no signal is ever sent to a number that is free.
    private func reap() {
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) == -1 && errno == EINTR {}
        let (status, waiting) = state.withLock { state in
            var word: Int32 = 0
            while waitpid(pid, &word, 0) == -1 && errno == EINTR {}
            let status = ProcessEnd(waitStatus: word)
            state.status = status
            defer { state.waiting = [] }
            return (status, state.waiting)
        }
        for continuation in waiting { continuation.resume(returning: status) }
    }
}

// MARK: - Spawning

/// The thread that starts all children, and therefore must outlive them.
private final class Spawner: Sendable {
    static let shared = Spawner()

    private let line = Mutex<[@Sendable () -> Void]>([])
    private let wake = DispatchSemaphore(value: 0)

    private init() {
        Thread.detachNewThread { self.work() }
    }

    private func work() {
        while true {
            wake.wait()
            let next = line.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            next?()
        }
    }

    func perform(_ body: @escaping @Sendable () -> Void) {
        line.withLock { $0.append(body) }
        wake.signal()
    }
}

/// Starts the process and returns its id, without waiting for anything.
private func spawn(_ launch: Launch) throws(FleetError) -> pid_t {
    guard access(launch.executable, X_OK) == 0 else {
        throw FleetError("\(launch.executable) is not there or not executable")
    }
    var arguments = ["setpriv", "--pdeathsig", launch.deathSignal]
    if let user = launch.user { arguments += ["--reuid=\(user)", "--regid=\(user)", "--clear-groups"] }
    arguments += ["--", launch.executable] + launch.arguments

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, launch.input ?? "/dev/null", O_RDONLY, 0)
    if let log = launch.log {
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
    } else if let output = launch.output {
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
    }
    if let control = launch.control { posix_spawn_file_actions_adddup2(&actions, control, 3) }
    if let socket = launch.socket { posix_spawn_file_actions_adddup2(&actions, socket, 4) }

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
        &attributes,
        Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
    )

    let environment = launch.environment.map { "\($0.key)=\($0.value)" }
    var pid: pid_t = 0
    let failure = withCStrings(arguments) { arguments in
        withCStrings(environment) { environment in
            posix_spawnp(&pid, "setpriv", &actions, &attributes, arguments, environment)
        }
    }
    guard failure == 0 else {
        throw FleetError(
            "could not start \(launch.name): \(String(cString: strerror(failure)))",
            remedy: failure == ENOENT ? "setpriv is missing: apt-get install util-linux" : nil
        )
    }
    return pid
}

/// Lends the strings as a C array that ends with NULL.
private func withCStrings<R>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
}
