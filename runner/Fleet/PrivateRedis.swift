import Foundation

/// The Redis of one checkout, under `.runner/redis`: every command is on the disk before it is answered, nothing is
/// ever evicted, and only this user can reach its unix socket.
package struct PrivateRedis: PrivateServer {
    package let name = "redis"
    package let stopSignal = SIGTERM

    private let state: StateFolder
    private let places: ServerPlaces

    package init(_ state: StateFolder, places: ServerPlaces) {
        self.state = state
        self.places = places
    }

    /// For `REDIS_URL`.
    package var url: String { "unix://\(urlEncoded(places.redisSocket))?db=0" }

    static var executable: String? {
        ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].first(where: Files.exists)
    }

    package func start(_ console: Console) async throws -> ChildProcess {
        state.rotateLog(of: name)
        return try await console.step("starting Redis") { try await startOnce() }
    }

    private func startOnce() async throws -> ChildProcess {
        guard let executable = Self.executable else {
            throw FleetError("redis-server is not installed", remedy: "run runner/setup")
        }
        unlink(places.redisSocket)
        var launch = Launch(
            name: name,
            executable: executable,
            arguments: [
                "--port", "0", "--unixsocket", places.redisSocket, "--unixsocketperm", "700",
                "--dir", places.redisData, "--daemonize", "no", "--save", "", "--appendonly", "yes",
                "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--databases", "16",
            ],
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"]
        )
        launch.log = state.log(of: name)
        launch.deathSignal = "TERM"
        let process = try await ChildProcess.start(launch)
        state.record(process)
        do {
            let deadline = ContinuousClock.now + .seconds(300)
            while !answers() {
                if let status = process.status { throw failure("Redis ended while starting (\(status))") }
                if ContinuousClock.now > deadline { throw failure("Redis was not ready after five minutes") }
                try await Task.sleep(for: .milliseconds(10))
            }
            return process
        } catch {
            await stop(process, state: state)
            throw error
        }
    }

    private func failure(_ message: String) -> FleetError {
        FleetError("\(message); its log says:\n\(logTail(state.log(of: name)))")
    }

    /// Whether a PING is answered by PONG; while it loads its file, Redis answers with an error instead.
    ///
    /// Blocks for half a second at most. Nothing else of the supervisor waits for this thread at that time.
    private func answers() -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 0, tv_usec: 500_000)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))

        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = places.redisSocket.utf8
        guard path.count <= ServerPlaces.longestSocketPath else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        let ping = "PING\r\n"
        guard connected == 0, send(descriptor, ping, ping.utf8.count, Int32(MSG_NOSIGNAL)) > 0
        else { return false }
        var answer = [UInt8](repeating: 0, count: 64)
        let count = recv(descriptor, &answer, answer.count, 0)
        return answer.prefix(max(count, 0)).starts(with: "+PONG".utf8)
    }
}
