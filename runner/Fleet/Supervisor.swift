import Foundation

/// Runs a checkout: its private servers and the host, restarted when they crash, until it is asked to stop. When the sources or
/// functions.yaml change, a new host takes the place of the old one as soon as it serves (see `Supervisor+Reload.swift`).
///
/// It handles no request and runs no function, so nothing that a function does can bring it down.
package actor Supervisor {
    let plan: UpPlan
    let state: StateFolder
    let steps: UpSteps
    let console: Console
    private let environment: [String: String]
    let drainLimit: Duration
    private let watchInterval: Duration

    enum Event: Sendable {
        case started
        case failed(String)
        case signal(Int32)
        case hostLine(HostProcess, String)
        case hostMayBeSlow(HostProcess)
        case hostEnded(HostProcess, ProcessEnd)
        case serverEnded(String, ChildProcess, ProcessEnd)
        case startHost
        case startServer(String)
        case drainedTooLong
        case retiredTooLong(HostProcess)
        case changed([String])
        case nextIsTooSlow(HostProcess)
        case reloadEnded
    }

    private let events: AsyncStream<Event>
    let send: AsyncStream<Event>.Continuation

    private var servers: [(program: any PrivateServer, process: ChildProcess, restarts: RestartPolicy)] = []
    var addresses: Addresses?
    var listener: Listener?
    /// The build that the host runs, or is started again with after a crash.
    var generation: Generation?
    var host: HostProcess?
    var hostRestarts = RestartPolicy()
    private var hostStarts = 0
    var isReady = false
    /// The host ended in a way that only a change can mend.
    var isWaitingForChange = false
    var isStopping = false
    private var result: Int32 = 0
    var reload = Reload()

    /// Makes a supervisor that has not started anything yet. `environment` is the caller's, with `.env` merged into it;
    /// `drainLimit` is how long running functions may go on after the request to stop, `watchInterval` how often the sources are
    /// looked at.
    package init(
        _ plan: UpPlan,
        state: StateFolder,
        steps: UpSteps,
        console: Console,
        environment: [String: String],
        drainLimit: Duration = .seconds(30),
        watchInterval: Duration = .milliseconds(500)
    ) {
        self.plan = plan
        self.state = state
        self.steps = steps
        self.console = console
        self.environment = environment
        self.drainLimit = drainLimit
        self.watchInterval = watchInterval
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
        let watch = plan.watches ? watchSources() : nil
        for await event in events where await handle(event, start) { break }
        watch?.cancel()
        listener = nil
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
        case .hostLine(let source, let line):
            switch line {
            case "ready" where source === host: welcome(source)
            case "ready" where source === reload.next: swap(to: source)
            case "released" where source === reload.holder: handOver()
            default: break
            }
        case .hostMayBeSlow(let slow):
            if slow === host, !isReady, !isStopping {
                let time = (ContinuousClock.now - slow.process.began).readable
                console.note("the host is not ready yet, \(time) after its start")
                after(.seconds(10), .hostMayBeSlow(slow))
            }
        case .hostEnded(let ended, let status):
            state.forget(ended.process.name)
            if ended === host { return hostEnded(ended, status) }
            if ended === reload.next { nextEnded(ended, status) } else { retiredEnded(ended) }
            return isOver
        case .serverEnded(let name, let process, let status):
            serverEnded(name, process, status)
        case .startHost:
            await startHost()
        case .startServer(let name):
            await restartServer(name)
        case .drainedTooLong:
            guard isStopping, let host else { break }
            console.warn("the host has not ended within \(drainLimit.readable); ending it")
            tellInFlight(host)
            host.process.signal(SIGKILL)
        case .retiredTooLong(let old):
            guard reload.retiring.contains(where: { $0 === old }) else { break }
            console.warn("the old host has not ended within \(drainLimit.readable); ending it")
            tellInFlight(old)
            old.process.signal(SIGKILL)
        case .changed(let paths):
            note(changes: paths)
        case .nextIsTooSlow(let slow):
            if slow === reload.next { giveUp(slow) }
        case .reloadEnded:
            reload.task = nil
            startReload()
            return isOver
        }
        return false
    }

    /// Whether a stop was asked for and nothing is left of hosts and reloads.
    private var isOver: Bool {
        isStopping && host == nil && reload.next == nil && reload.retiring.isEmpty && reload.task == nil
    }

    private func watchSources() -> Task<Void, Never> {
        let (tree, interval) = (SourceTree(root: state.root), watchInterval)
        return Task { [send] in
            await SourceWatch.run(tree, interval: interval) { send.yield(.changed($0)) }
        }
    }
}

// MARK: - Starting

extension Supervisor {
    private func start() async {
        do {
            for remark in plan.remarks { console.warn(remark) }
            let signals = ["build": SIGINT, "redis": SIGTERM, "postgres": SIGINT]
            // Hosts and tools first: they use the servers.
            for name in state.recorded().sorted(by: { signals[$1] != nil && signals[$0] == nil }) {
                let signal = signals[name] ?? SIGKILL
                let ended = await console.step("ending the \(name) of an earlier run") {
                    await state.endLeftover(name, signal)
                }
                if ended { console.note("ended the \(name) that an earlier run had left") }
            }
            state.forgetGenerations()
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
        guard !isStopping, host == nil, !isWaitingForChange, let addresses else { return }
        do {
            let listener = try listener ?? Listener(port: plan.port)
            self.listener = listener
            let generation = generation ?? firstGeneration()
            self.generation = generation
            let command = try steps.host(addresses, generation)
            let started = try await HostProcess(command, generation, on: listener, state: state)
            host = started
            attend(started)
            hostStarts += 1
            isReady = false
            after(.seconds(3), .hostMayBeSlow(started))
            // A signal came while it was being started: it drains like one that has served.
            if isStopping { started.process.signal(SIGTERM) }
        } catch {
            if hostStarts == 0 {
                send.yield(.failed("\(error)"))
                return
            }
            console.fail("\(error)")
            after(.seconds(1), .startHost)
        }
    }

    /// Has its lines and its end told; to be called once it is known what it is.
    func attend(_ host: HostProcess) {
        host.read { [send] in send.yield(.hostLine(host, $0)) }
        Task { [send] in send.yield(.hostEnded(host, await host.process.exit())) }
    }

    private func welcome(_ host: HostProcess) {
        let took = (ContinuousClock.now - host.process.began).readable
        isReady = true
        if reload.holder == nil { host.accept() }
        defer { startReload() }
        guard hostStarts == 1, let addresses else {
            console.note("the host serves again (\(took) after its start)")
            return
        }
        console.note("ready in \(took)")
        for line in steps.banner(addresses) { console.plain(line) }
    }

    private func hostEnded(_ ended: HostProcess, _ status: ProcessEnd) -> Bool {
        let uptime = ContinuousClock.now - ended.process.began
        host = nil
        if isStopping {
            if status != .exited(0) { console.warn("the host ended with \(status)") }
            return isOver
        }
        switch hostRestarts.decide(status, uptime: uptime) {
        case .end(let code):
            if code != 0 { console.fail("the host cannot run as it is (exit status \(code)); not starting it again") }
            if code != 0, plan.watches, reload.hasServed {
                console.note("waiting for a change that mends it")
                isWaitingForChange = true
                startReload()
                return false
            }
            result = code
            isStopping = true
            stopReload()
            return isOver
        case .restart(let pause):
            console.fail("the host crashed after \(uptime.readable): \(status)")
            tellInFlight(ended)
            console.note("starting it again in \(pause.readable)")
            after(pause, .startHost)
            return false
        }
    }

    private func tellInFlight(_ host: HostProcess) {
        let inFlight = steps.inFlight(host.generation)
        if inFlight.isEmpty { console.note("nothing was in flight") }
        for line in inFlight { console.note("in flight: \(line)") }
    }

    func after(_ pause: Duration, _ event: Event) {
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
            for running in [host, reload.next] + reload.retiring { running?.process.signal(SIGKILL) }
            reload.tool?.signal(SIGKILL)
            return isOver
        }
        isStopping = true
        stopReload()
        guard let host else {
            console.note("stopping")
            start.cancel()
            await start.value
            result = plan.hosts && hostStarts == 0 ? 130 : 0
            return isOver
        }
        let hint = number == SIGINT ? "; Ctrl-C again ends at once" : ""
        console.note("draining, for at most \(drainLimit.readable)\(hint)")
        host.process.signal(SIGTERM)
        after(drainLimit, .drainedTooLong)
        return false
    }
}
