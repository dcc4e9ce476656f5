import Foundation

/// The hosts, and how each is started, greeted and started again.
extension Supervisor {
    /// Whether all hosts serve.
    var isReady: Bool { !members.isEmpty && members.allSatisfy(\.isReady) }

    func index(of process: HostProcess) -> Int? { members.firstIndex { $0.process === process } }

    func startHosts() async {
        guard !isStopping, members.isEmpty, let addresses else { return }
        do {
            let generation = firstGeneration()
            self.generation = generation
            let commands = try steps.hosts(addresses, generation)
            for command in commands {
                members.append(try member(for: command, generation, isShared: commands.count > 1))
            }
            for command in commands { try await start(command) }
        } catch {
            send.yield(.failed("\(error)"))
        }
    }

    /// A place for the processes of such a command.
    func member(for command: HostLaunch, _ generation: Generation, isShared: Bool) throws(FleetError) -> Member {
        Member(
            name: command.name,
            log: HostLog(of: command.name, state: state, isShared: isShared),
            listener: try listener(for: command),
            generation: generation
        )
    }

    func listener(for command: HostLaunch) throws(FleetError) -> Listener {
        if let path = command.socket { try Listener(path: path) } else { try Listener(port: plan.port) }
    }

    /// Starts one again that has ended.
    func startHost(_ name: String) async {
        guard !isStopping, let addresses,
            let member = members.first(where: { $0.name == name }), member.process == nil, !member.isGivenUp
        else { return }
        do {
            let commands = try steps.hosts(addresses, member.generation)
            if let command = commands.first(where: { $0.name == name }) { try await start(command) }
        } catch {
            console.fail("\(error)")
            after(.seconds(1), .startHost(name))
        }
    }

    private func start(_ command: HostLaunch) async throws {
        guard let index = members.firstIndex(where: { $0.name == command.name }) else { return }
        let member = members[index]
        let listener = try member.listener ?? listener(for: command)
        members[index].listener = listener
        let started = try await HostProcess(command, member.generation, on: listener, log: member.log, state: state)
        members[index].process = started
        members[index].starts += 1
        members[index].isReady = false
        attend(started)
        after(.seconds(3), .hostMayBeSlow(started))
        // A signal came while it was being started: it drains like one that has served.
        if isStopping { started.process.signal(SIGTERM) }
    }

    /// Has its lines and its end told; to be called once it is known what it is.
    func attend(_ host: HostProcess) {
        host.read { [send] in send.yield(.hostLine(host, $0)) }
        Task { [send] in send.yield(.hostEnded(host, await host.process.exit())) }
    }

    /// One that was started serves.
    func welcome(_ host: HostProcess) {
        guard let index = index(of: host) else { return }
        members[index].isReady = true
        if members[index].holder == nil { host.accept() }
        defer { startReload() }
        if members[index].starts > 1 {
            let took = (ContinuousClock.now - host.process.began).readable
            console.note("\(members[index].title) serves again (\(took) after its start)")
        }
        guard !isWelcome, isReady, let addresses, let began = members.compactMap({ $0.process?.process.began }).min()
        else { return }
        isWelcome = true
        console.note("ready in \((ContinuousClock.now - began).readable)")
        for line in steps.banner(addresses) { console.plain(line) }
    }

    /// Says who isn't ready yet; of several, one speaks for all.
    func remind(of slow: HostProcess) {
        guard !isStopping, let index = index(of: slow), !members[index].isReady else { return }
        after(.seconds(10), .hostMayBeSlow(slow))
        let late = members.filter { !$0.isReady }
        guard late.first?.process === slow else { return }
        let who = late.count == 1 ? "\(late[0].title) is" : "\(late.count) of \(members.count) hosts are"
        let time = (ContinuousClock.now - slow.process.began).readable
        console.note("\(who) not ready yet, \(time) after \(late.count == 1 ? "its" : "their") start")
    }

    /// The process of a member has ended; true when all is over but the servers.
    func hostEnded(_ index: Int, _ ended: HostProcess, _ status: ProcessEnd) -> Bool {
        let uptime = ContinuousClock.now - ended.process.began
        let title = members[index].title
        members[index].process = nil
        members[index].isReady = false
        if isStopping {
            if status != .exited(0) { console.warn("\(title) ended with \(status)") }
            if members[index].isGateway { drainHosts() }
            return isOver
        }
        // Where there are several, one that somebody ended is mended like one that crashed.
        let isOneOfSeveral = members.count > 1 && status == .exited(0)
        switch members[index].restarts.decide(isOneOfSeveral ? .exited(1) : status, uptime: uptime) {
        case .end(let code):
            return giveUp(index, code)
        case .restart(let pause):
            console.fail("\(title) crashed after \(uptime.readable): \(status)")
            tellInFlight(ended)
            console.note("starting it again in \(pause.readable)")
            after(pause, .startHost(ended.name))
            return false
        }
    }

    /// A host ended in a way that starting it again can't mend. What has served before stays, but for it.
    private func giveUp(_ index: Int, _ code: Int32) -> Bool {
        let title = members[index].title
        if code != 0 { console.fail("\(title) cannot run as it is (exit status \(code)); not starting it again") }
        let isOneOfSeveral = members.count > 1
        guard code != 0, isWelcome, plan.watches || isOneOfSeveral else {
            result = code
            isStopping = true
            stopReload()
            drain()
            after(drainLimit, .drainedTooLong)
            return isOver
        }
        if plan.watches { console.note("waiting for a change that mends it") }
        members[index].isGivenUp = true
        // Whoever connects behind the gateway is refused and told so, rather than waiting for nobody.
        if isOneOfSeveral { members[index].listener = nil }
        startReload()
        return false
    }

    func tellInFlight(_ host: HostProcess) {
        let inFlight = steps.inFlight(host.inFlight)
        if inFlight.isEmpty { console.note("nothing was in flight") }
        for line in inFlight { console.note("in flight: \(line)") }
    }
}
