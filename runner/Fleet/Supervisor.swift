import Foundation

/// Runs a checkout: its private servers and the host, or several behind a gateway, restarted when they crash, until it is asked
/// to stop. When the sources or functions.yaml change, new hosts take the places of the old ones, each as soon as it serves (see
/// `Supervisor+Reload.swift`).
///
/// It handles no request and runs no function, so nothing that a function does can bring it down.
package actor Supervisor {
    let plan: UpPlan
    let state: StateFolder
    let steps: UpSteps
    let console: Console
    private let environment: [String: String]
    let drainLimit: Duration
    private let gatewayLead: Duration
    private let watchInterval: Duration

    enum Event: Sendable {
        case started
        case failed(String)
        case signal(Int32)
        case hostLine(HostProcess, String)
        case hostMayBeSlow(HostProcess)
        case hostEnded(HostProcess, ProcessEnd)
        case serverEnded(String, ChildProcess, ProcessEnd)
        case startHost(String)
        case startServer(String)
        case gatewayTakesLong
        case drainedTooLong
        case retiredTooLong(HostProcess)
        case changed([String])
        case nextIsTooSlow(HostProcess)
        case reloadEnded
        case told(String)
    }

    private let events: AsyncStream<Event>
    let send: AsyncStream<Event>.Continuation

    private var servers: [(program: any PrivateServer, process: ChildProcess, restarts: RestartPolicy)] = []
    var addresses: Addresses?
    /// What all hosts run but for those that a reload has swapped already.
    var generation: Generation?
    /// In the order in which they are started.
    var members: [Member] = []
    /// Whether all have served.
    var isWelcome = false
    var isStopping = false
    private var areHostsAsked = false
    var result: Int32 = 0
    var reload = Reload()

    /// Makes a supervisor that has not started anything yet. `environment` is the caller's, with `.env` merged into it;
    /// `drainLimit` is how long running functions may go on after the request to stop, `gatewayLead` by how much the gateway is asked
    /// before the hosts behind it unless it ends sooner, `watchInterval` how often the sources are looked at.
    package init(
        _ plan: UpPlan,
        state: StateFolder,
        steps: UpSteps,
        console: Console,
        environment: [String: String],
        drainLimit: Duration = .seconds(30),
        gatewayLead: Duration = .seconds(1),
        watchInterval: Duration = .milliseconds(500)
    ) {
        self.plan = plan
        self.state = state
        self.steps = steps
        self.console = console
        self.environment = environment
        self.drainLimit = drainLimit
        self.gatewayLead = gatewayLead
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
        // Without it `runner restart` says that nobody listens.
        let control = try? ControlPipe(state) { [send] in send.yield(.told($0)) }
        let start = Task { await self.start() }
        let watch = plan.watches ? watchSources() : nil
        for await event in events where await handle(event, start) { break }
        watch?.cancel()
        members = []
        control?.stop()
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
            await startHosts()
        case .failed(let message):
            console.fail(message)
            result = 1
            for member in members { member.process?.process.signal(SIGKILL) }
            return true
        case .signal(let number):
            return await obey(number, start)
        case .hostLine(let source, let line):
            switch line {
            case "ready" where source === reload.next:
                swap(to: source)
                await startNext()
            case "ready": welcome(source)
            case "released": handOver(from: source)
            default: break
            }
        case .hostMayBeSlow(let slow):
            remind(of: slow)
        case .hostEnded(let ended, let status):
            state.forget(ended.process.name)
            if let index = index(of: ended) { return hostEnded(index, ended, status) }
            if ended === reload.next { nextEnded(ended, status) } else { retiredEnded(ended) }
            return isOver
        case .serverEnded(let name, let process, let status):
            serverEnded(name, process, status)
        case .startHost(let name):
            await startHost(name)
        case .startServer(let name):
            await restartServer(name)
        case .gatewayTakesLong:
            drainHosts()
        case .drainedTooLong:
            guard isStopping else { break }
            for process in members.compactMap(\.process) { end(process, "\(Member.title(process.name)) has") }
        case .retiredTooLong(let old):
            guard reload.retiring.contains(where: { $0 === old }) else { break }
            end(old, "the old \(old.name) has")
        case .changed(let paths):
            note(changes: paths)
        case .nextIsTooSlow(let slow):
            if slow === reload.next { giveUp(slow) }
        case .reloadEnded:
            reload.task = nil
            if reload.swapping == nil { startReload() } else { await startNext() }
            return isOver
        case .told(let line):
            await obey(line)
        }
        return false
    }

    /// Whether a stop was asked for and nothing is left of hosts and reloads.
    var isOver: Bool {
        isStopping && members.allSatisfy { $0.process == nil } && reload.next == nil && reload.retiring.isEmpty
            && reload.task == nil
    }

    private func end(_ process: HostProcess, _ subject: String) {
        console.warn("\(subject) not ended within \(drainLimit.readable); ending it")
        tellInFlight(process)
        process.process.signal(SIGKILL)
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

extension Supervisor {
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
            console.warn("ending \(members.count > 1 ? "the hosts" : "the host") at once")
            result = 130
            for running in members.map(\.process) + [reload.next] + reload.retiring { running?.process.signal(SIGKILL) }
            reload.tool?.signal(SIGKILL)
            return isOver
        }
        isStopping = true
        stopReload()
        guard members.contains(where: { $0.process != nil }) else {
            console.note("stopping")
            start.cancel()
            await start.value
            result = plan.hosts && members.isEmpty ? 130 : 0
            return isOver
        }
        let hint = number == SIGINT ? "; Ctrl-C again ends at once" : ""
        console.note("draining, for at most \(drainLimit.readable)\(hint)")
        drain()
        after(drainLimit, .drainedTooLong)
        return false
    }

    /// Asks all to end. Those behind the gateway serve what it has handed on: they are asked when it has ended, or a while after
    /// it, when nobody comes any more who isn't being served.
    func drain() {
        guard let gateway = members.first(where: \.isGateway)?.process else { return drainHosts() }
        gateway.process.signal(SIGTERM)
        after(gatewayLead, .gatewayTakesLong)
    }

    func drainHosts() {
        guard isStopping, !areHostsAsked else { return }
        areHostsAsked = true
        for member in members where !member.isGateway { member.process?.process.signal(SIGTERM) }
    }

    /// Does what another terminal asks for: `restart` all or `restart NAME`.
    private func obey(_ line: String) async {
        let words = line.split(separator: " ").map(String.init)
        guard words.first == "restart", words.count <= 2 else { return }
        await restart(words.dropFirst().first)
    }
}
