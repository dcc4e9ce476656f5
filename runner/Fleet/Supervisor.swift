import Foundation

/// Runs a checkout: its private servers and the host, restarted when they crash, until it is asked to stop.
///
/// It handles no request and runs no function, so nothing that a function does can bring it down.
package actor Supervisor {
    private let plan: UpPlan
    private let state: StateFolder
    private let steps: UpSteps
    private let console: Console
    private let environment: [String: String]
    private let drainLimit: Duration

    private enum Event: Sendable {
        case started
        case failed(String)
        case signal(Int32)
        case hostLine(String)
        case hostMayBeSlow(ChildProcess)
        case hostEnded(ChildProcess, ProcessEnd)
        case serverEnded(String, ChildProcess, ProcessEnd)
        case startHost
        case startServer(String)
        case drainedTooLong
    }

    private let events: AsyncStream<Event>
    private let send: AsyncStream<Event>.Continuation

    private var servers: [(program: any PrivateServer, process: ChildProcess, restarts: RestartPolicy)] = []
    private var addresses: Addresses?
    private var host: ChildProcess?
    private var hostRestarts = RestartPolicy()
    private var hostStarts = 0
    private var isReady = false
    private var isStopping = false
    private var result: Int32 = 0

    /// Makes a supervisor that has not started anything yet. `environment` is the caller's, with `.env` merged into it;
    /// `drainLimit` is how long running functions may go on after the request to stop.
    package init(
        _ plan: UpPlan,
        state: StateFolder,
        steps: UpSteps,
        console: Console,
        environment: [String: String],
        drainLimit: Duration = .seconds(30)
    ) {
        self.plan = plan
        self.state = state
        self.steps = steps
        self.console = console
        self.environment = environment
        self.drainLimit = drainLimit
        (events, send) = AsyncStream.makeStream()
    }

    /// Runs until a signal, or until the host ends in a way that starting it again cannot mend.
    ///
    /// - Returns: the status to exit with: 0 after an orderly stop, 1 when something could not be started or the lock is
    ///   held, 130 after a stop that was hurried or came during the start, otherwise the host's own.
    package func run() async -> Int32 {
        let lock: StateLock
        let signals: Signals
        do {
            try state.prepare()
            switch try StateLock.take(state.lock, port: plan.port) {
            case .taken(let taken): lock = taken
            case .held(let holder):
                let who = holder.map(String.init(describing:)) ?? "another process"
                console.fail("runner up is already running here (\(who)); stop it first, or use another checkout")
                return 1
            }
            signals = try Signals { self.receive($0) }
        } catch {
            console.fail(error.description)
            return 1
        }
        raiseDescriptorLimit()
        // In `runner up | tee log`, Ctrl-C ends tee at once, and what the drain says must not end us.
        signal(SIGPIPE, SIG_IGN)
        let start = Task { await self.start() }
        for await event in events where await handle(event, start) { break }
        await stopServers()
        signals.stop()
        return withExtendedLifetime(lock) { result }
    }

    /// Does what the signal asks for, as if it had come from outside.
    nonisolated func receive(_ signal: Int32) {
        send.yield(.signal(signal))
    }

    /// Acts on one event; true when all is over but the servers.
    private func handle(_ event: Event, _ start: Task<Void, Never>) async -> Bool {
        switch event {
        case .started:
            await startHost()
        case .failed(let message):
            console.fail(message)
            result = 1
            return true
        case .signal(let number):
            return await obey(number, start)
        case .hostLine(let line):
            if line == "ready", let host { welcome(host) }
        case .hostMayBeSlow(let process):
            if process === host, !isReady, !isStopping {
                let time = (ContinuousClock.now - process.began).readable
                console.note("the host is not ready yet, \(time) after its start")
                after(.seconds(10), .hostMayBeSlow(process))
            }
        case .hostEnded(let process, let status):
            return hostEnded(process, status)
        case .serverEnded(let name, let process, let status):
            serverEnded(name, process, status)
        case .startHost:
            await startHost()
        case .startServer(let name):
            await restartServer(name)
        case .drainedTooLong:
            guard isStopping, let host else { break }
            console.warn("the host has not ended within \(drainLimit.readable); ending it")
            tellInFlight()
            host.signal(SIGKILL)
        }
        return false
    }
}

// MARK: - Starting

extension Supervisor {
    private func start() async {
        do {
            for remark in plan.remarks { console.warn(remark) }
            for (name, signal) in [("host", SIGKILL), ("redis", SIGTERM), ("postgres", SIGINT)] {
                let ended = await console.step("ending the \(name) of an earlier run") {
                    await state.endLeftover(name, signal)
                }
                if ended { console.note("ended the \(name) that an earlier run had left") }
            }
            if plan.hosts, let user = Port.user(of: plan.port) {
                throw FleetError("port \(plan.port) is in use by \(user)", remedy: "stop it, or choose another: --port")
            }
            try wipe()
            let addresses = try await startServers()
            self.addresses = addresses
            if case .given(let url) = plan.queue {
                for fault in await steps.inspectRedis(url) { console.warn("the Redis of REDIS_URL \(fault)") }
            }
            try Task.checkCancellation()
            guard plan.hosts || plan.seeds else {
                for line in try steps.engines(addresses) { console.plain(line) }
                return
            }
            for line in try await console.step("migrating the database", { try await steps.migrate(addresses) }) {
                console.note(line)
            }
            if plan.seeds {
                for line in try await console.step("putting in demo data", { try await steps.seed(addresses) }) {
                    console.note(line)
                }
            }
            try Task.checkCancellation()
            guard plan.hosts else {
                for line in try steps.engines(addresses) { console.plain(line) }
                return
            }
            send.yield(.started)
        } catch is CancellationError {
            // The signal that cancelled it has said so.
        } catch {
            if !Task.isCancelled { send.yield(.failed("\(error)")) }
        }
    }

    private func wipe() throws(FleetError) {
        switch plan.wipe {
        case .nothing: return
        case .withoutAsking: break
        case .afterAsking:
            switch steps.confirm("Throw away all data of the private servers in \(state.path)?") {
            case true?: break
            case false?: throw FleetError("nothing was changed")
            case nil: throw FleetError("--fresh asks first, and there is no terminal to ask on", remedy: "add --yes")
            }
        }
        try state.wipe()
        console.note("threw away the data of the private servers")
    }

    private func startServers() async throws -> Addresses {
        var (database, owner, redis) = ("", "", "")
        let places: ServerPlaces? =
            if plan.database == .ours || plan.queue == .ours {
                try await ServerPlaces(state, environment: environment)
            } else {
                nil
            }
        switch plan.database {
        case .given(let url, let ownerURL): (database, owner) = (url, ownerURL)
        case .ours:
            guard let places else { break }
            let server = try PrivatePostgres(state, places: places)
            try await add(server)
            (database, owner) = (server.applicationURL, server.ownerURL)
        }
        switch plan.queue {
        case .given(let url): redis = url
        case .ours:
            guard let places else { break }
            let server = PrivateRedis(state, places: places)
            try await add(server)
            redis = server.url
        }
        return Addresses(
            database: database,
            databaseOwner: owner,
            redis: redis,
            isDatabaseOurs: plan.database == .ours,
            isRedisOurs: plan.queue == .ours
        )
    }

    private func add(_ program: any PrivateServer) async throws {
        try Task.checkCancellation()
        let process = try await program.start(console)
        servers.append((program, process, RestartPolicy()))
        watch(process, of: program.name)
    }

    private func watch(_ process: ChildProcess, of name: String) {
        Task { [send] in send.yield(.serverEnded(name, process, await process.exit())) }
    }

    /// Hundreds of streams and connections need more descriptors than the customary 1024; children inherit the limit.
    private func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = min(limit.rlim_max, 65536)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

// MARK: - The host

extension Supervisor {
    private func startHost() async {
        guard !isStopping, host == nil, let addresses else { return }
        do {
            let command = try steps.host(addresses)
            let link = try HostLink()
            var launch = Launch(
                name: "host",
                executable: command.executable,
                arguments: command.arguments,
                environment: command.environment.merging(["RUNNER_SUPERVISOR_FD": "3"]) { $1 }
            )
            launch.control = link.hostEnd
            defer { link.release() }
            let process = try await ChildProcess.start(launch)
            state.record(process)
            host = process
            hostStarts += 1
            isReady = false
            after(.seconds(3), .hostMayBeSlow(process))
            link.read { [send] in send.yield(.hostLine($0)) }
            Task { [send] in send.yield(.hostEnded(process, await process.exit())) }
            // A signal came while it was being started: it drains like one that has served.
            if isStopping { process.signal(SIGTERM) }
        } catch {
            if hostStarts == 0 {
                send.yield(.failed("\(error)"))
                return
            }
            // It could be started before: a build may be replacing the executable at this moment.
            console.fail("\(error)")
            after(.seconds(1), .startHost)
        }
    }

    private func welcome(_ host: ChildProcess) {
        let took = (ContinuousClock.now - host.began).readable
        isReady = true
        guard hostStarts == 1, let addresses else {
            console.note("the host serves again (\(took) after its start)")
            return
        }
        console.note("ready in \(took)")
        for line in steps.banner(addresses) { console.plain(line) }
    }

    private func hostEnded(_ process: ChildProcess, _ status: ProcessEnd) -> Bool {
        let uptime = ContinuousClock.now - process.began
        host = nil
        state.forget("host")
        if isStopping {
            if status != .exited(0) { console.warn("the host ended with \(status)") }
            return true
        }
        switch hostRestarts.decide(status, uptime: uptime) {
        case .end(let code):
            if code != 0 { console.fail("the host cannot run as it is (exit status \(code)); not starting it again") }
            result = code
            return true
        case .restart(let pause):
            console.fail("the host crashed after \(uptime.readable): \(status)")
            tellInFlight()
            console.note("starting it again in \(pause.readable)")
            after(pause, .startHost)
            return false
        }
    }

    private func tellInFlight() {
        let inFlight = steps.inFlight()
        if inFlight.isEmpty { console.note("nothing was in flight") }
        for line in inFlight { console.note("in flight: \(line)") }
    }

    private func after(_ pause: Duration, _ event: Event) {
        Task { [send] in
            // Never cancelled: an event that comes after the end is read by nobody.
            try? await Task.sleep(for: pause)
            send.yield(event)
        }
    }
}

// MARK: - The servers, later

extension Supervisor {
    private func serverEnded(_ name: String, _ process: ChildProcess, _ status: ProcessEnd) {
        guard let index = servers.firstIndex(where: { $0.program.name == name && $0.process === process })
        else { return }
        let uptime = ContinuousClock.now - process.began
        // An orderly end that we didn't ask for (somebody sent it a signal) is mended in the same way as a crash.
        let decision = servers[index].restarts.decide(status == .exited(0) ? .exited(1) : status, uptime: uptime)
        guard case .restart(let pause) = decision else { return restart(name, status, after: .seconds(1)) }
        restart(name, status, after: pause)
    }

    private func restart(_ name: String, _ status: ProcessEnd, after pause: Duration) {
        console.fail("\(name) ended (\(status)); starting it again in \(pause.readable)")
        after(pause, .startServer(name))
    }

    private func restartServer(_ name: String) async {
        guard !isStopping, let index = servers.firstIndex(where: { $0.program.name == name }) else { return }
        do {
            let process = try await servers[index].program.start(console)
            servers[index].process = process
            console.note("\(name) serves again")
            watch(process, of: name)
        } catch {
            console.fail("\(error)")
            after(.seconds(5), .startServer(name))
        }
    }

    private func stopServers() async {
        for server in servers.reversed() {
            await console.step("stopping \(server.program.name)") {
                _ = await server.program.stop(server.process, state: state)
            }
        }
        servers = []
    }
}

// MARK: - Stopping

extension Supervisor {
    /// The first signal drains, the second one ends; during the start, the first one ends.
    private func obey(_ number: Int32, _ start: Task<Void, Never>) async -> Bool {
        if isStopping {
            console.warn("ending the host at once")
            result = 130
            host?.signal(SIGKILL)
            return host == nil
        }
        isStopping = true
        guard let host else {
            console.note("stopping")
            start.cancel()
            await start.value
            result = plan.hosts && hostStarts == 0 ? 130 : 0
            return true
        }
        let hint = number == SIGINT ? "; Ctrl-C again ends at once" : ""
        console.note("draining, for at most \(drainLimit.readable)\(hint)")
        host.signal(SIGTERM)
        after(drainLimit, .drainedTooLong)
        return false
    }
}
