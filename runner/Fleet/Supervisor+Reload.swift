import Foundation

/// The way from a change to a host that knows it.
struct Reload {
    /// Paths that changed since the last reload began.
    var pending: Set<String> = []
    /// Whether a source changed since the last build that succeeded.
    var needsBuild = false
    /// Whether the product is one of ours, rather than what lay there before.
    var isBuilt = false
    /// Building, checking, migrating, starting.
    var task: Task<Void, Never>?
    /// What the task waits for.
    var tool: ChildProcess?
    /// The new generation, from its build until its hosts are started: others end meanwhile, and its build must stay.
    var preparing: Generation?
    /// The new generation, while its hosts take their places one after another.
    var swapping: Generation?
    /// Those of its hosts that are still to be started.
    var queue: [HostLaunch] = []
    /// The one that was started and doesn't serve yet.
    var next: HostProcess?
    /// What is started anew as it is; `nil` where something has changed.
    var restarted: String?
    /// All names of the new generation.
    var names: Set<String> = []
    /// Old ones that serve the last requests of their connections.
    var retiring: [HostProcess] = []
    /// Counts generations, those that never served too.
    var number = 1
    var began = ContinuousClock.now
    var buildTook: Duration?
}

// MARK: - Changes

extension Supervisor {
    /// How long a new host may take until it serves; it waits for no server, those run.
    private static let patience = Duration.seconds(60)

    func firstGeneration() -> Generation {
        let tools = steps.reload
        return Generation(
            number: 1,
            executable: plan.watches ? state.keep(tools.executable, generation: 1) : tools.executable,
            product: FileStamp(tools.executable),
            manifest: FileStamp("\(state.root)/\(SourceTree.manifest)")
        )
    }

    func note(changes paths: [String]) {
        reload.pending.formUnion(paths)
        if paths.contains(where: { $0 != SourceTree.manifest }) { reload.needsBuild = true }
        startReload()
    }

    /// Begins with what has changed, unless one is on its way: then it follows.
    func startReload() {
        guard isWelcome, !isStopping, reload.task == nil, reload.swapping == nil, !reload.pending.isEmpty else {
            return
        }
        let paths = reload.pending.sorted()
        reload.pending = []
        reload.began = .now
        reload.buildTook = nil
        reload.task = Task {
            do {
                try await renew(for: paths)
            } catch {
                if !isStopping { console.fail("\(error); \(meanwhile)") }
            }
            send.yield(.reloadEnded)
        }
    }

    /// Ends what a reload is doing; its next host, if it has one, too.
    func stopReload() {
        (reload.swapping, reload.queue) = (nil, [])
        reload.next?.process.signal(SIGKILL)
        guard let tool = reload.tool else { return }
        // The build ends the compilers that it has started.
        Task { await tool.stop(SIGINT, grace: .seconds(5)) }
    }
}

// MARK: - From a change to a new host

extension Supervisor {
    /// - Throws: what stands in the way, as a sentence; a stop throws nothing.
    private func renew(for paths: [String]) async throws {
        guard let current = generation, let addresses else { return }
        let tools = steps.reload
        if reload.needsBuild {
            guard try await build(paths) else { return }
        } else {
            console.note("\(SourceTree.manifest) changed")
        }
        let number = reload.number + 1
        let isRebuilt = reload.isBuilt && FileStamp(tools.product) != current.product
        let next = Generation(
            number: number,
            executable: isRebuilt ? state.keep(tools.product, generation: number) : current.executable,
            product: isRebuilt ? FileStamp(tools.product) : current.product,
            manifest: FileStamp("\(state.root)/\(SourceTree.manifest)")
        )
        if !isRebuilt, next.manifest == current.manifest, !members.contains(where: \.isGivenUp) {
            console.note("the program is the same as before")
            return
        }
        reload.number = number
        reload.preparing = next
        var isStarted = false
        defer {
            reload.preparing = nil
            if !isStarted { forgetExecutables() }
        }
        guard try await check(next.executable) else { return }
        if isRebuilt { guard try await migrate(next.executable, addresses) else { return } }
        guard !isStopping else { return }

        let commands = try steps.hosts(addresses, next)
        isStarted = true
        reload.names = Set(commands.map(\.name))
        // They follow once this task has ended.
        (reload.swapping, reload.queue, reload.restarted) = (next, commands, nil)
    }

    private func build(_ paths: [String]) async throws -> Bool {
        let more = paths.count > 1 ? " and \(paths.count - 1) more" : ""
        console.note("\(paths[0])\(more) changed; building")
        // What changes from here on is not in it for certain.
        reload.needsBuild = false
        var isBuilt = false
        defer { if !isBuilt { reload.needsBuild = true } }
        let began = ContinuousClock.now
        let (status, output) = try await console.step("building") {
            try await run(try steps.reload.build(), log: "build")
        }
        guard !isStopping else { return false }
        let took = ContinuousClock.now - began
        guard status == .exited(0) else {
            console.fail("the build failed (\(took.readable)); \(meanwhile)")
            for line in BuildLog(output, root: state.root).errors() { console.plain("  \(line)") }
            console.plain("  all of it: \(state.log(of: "build"))")
            return false
        }
        guard FileStamp(steps.reload.product) != nil else {
            throw FleetError("the build made no \(steps.reload.product)")
        }
        (isBuilt, reload.isBuilt) = (true, true)
        reload.buildTook = took
        if paths.contains(where: { $0.hasPrefix("runner/Fleet/") || $0 == "runner/Command/Up.swift" }) {
            console.note("what runs the hosts is still the old one: start `runner up` anew for the change of itself")
        }
        return true
    }

    private func check(_ executable: String) async throws -> Bool {
        let (status, output) = try await run(steps.reload.check(executable), log: "check")
        guard !isStopping, status != .exited(0) else { return !isStopping }
        console.fail("\(SourceTree.manifest) has faults; \(meanwhile)")
        show(output)
        return false
    }

    private func migrate(_ executable: String, _ addresses: Addresses) async throws -> Bool {
        let (status, output) = try await console.step("migrating the database") {
            try await run(steps.reload.migrate(executable, addresses), log: "migrate")
        }
        guard !isStopping else { return false }
        guard status == .exited(0) else {
            console.fail("the migration failed; \(meanwhile)")
            show(output)
            return false
        }
        for line in output.split(separator: "\n") where line != "nothing to apply" { console.note(String(line)) }
        return true
    }

    private var meanwhile: String {
        if members.count > 1 { return "the old ones serve on" }
        return members.contains(where: \.isGivenUp)
            ? "nothing serves until that is mended" : "the old host serves on"
    }

    private func show(_ output: String) {
        let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
        for line in lines.prefix(20) where !line.isEmpty { console.plain("  \(line)") }
        if lines.count > 21 { console.plain("  … and \(lines.count - 20) lines more") }
    }

    /// Runs a program to its end, or to the stop that is asked for meanwhile.
    private func run(_ launch: Launch, log: String) async throws -> (status: ProcessEnd, output: String) {
        var launch = launch
        let file = state.log(of: log)
        unlink(file)
        launch.log = file
        let tool = try await ChildProcess.start(launch)
        state.record(tool)
        reload.tool = tool
        if isStopping { stopReload() }
        let status = await tool.exit()
        reload.tool = nil
        state.forget(tool.name)
        // A program that wrote nothing at all has made no file.
        return (status, (try? String(contentsOfFile: file, encoding: .utf8)) ?? "")
    }
}

// MARK: - From the old hosts to the new ones

extension Supervisor {
    /// Starts one host, or all, anew as they are.
    func restart(_ name: String?) async {
        guard var next = generation, let addresses, name == nil || members.contains(where: { $0.name == name }) else {
            console.warn("there is no host \(name ?? "") to restart")
            return
        }
        let title = name.map(Member.title) ?? (members.count > 1 ? "all" : Member.title(HostLaunch.only))
        guard !isStopping, isWelcome, reload.task == nil, reload.swapping == nil else {
            console.warn("\(title) can't be restarted while something else changes")
            return
        }
        reload.number += 1
        next.number = reload.number
        (reload.began, reload.buildTook) = (.now, nil)
        do {
            let commands = try steps.hosts(addresses, next).filter { name == nil || $0.name == name }
            (reload.swapping, reload.queue, reload.restarted) = (next, commands, title)
        } catch {
            return console.fail("\(error); \(meanwhile)")
        }
        await startNext()
    }

    /// Starts the next of the hosts that take their places one after another; after the last one all is done.
    func startNext() async {
        guard !isStopping, reload.next == nil, let generation = reload.swapping else { return }
        guard !reload.queue.isEmpty else { return finishReload(generation) }
        let command = reload.queue.removeFirst()
        do {
            if !members.contains(where: { $0.name == command.name }) {
                members.append(try member(for: command, generation, isShared: true))
            }
            guard let index = members.firstIndex(where: { $0.name == command.name }) else { return }
            let listener = try members[index].listener ?? listener(for: command)
            members[index].listener = listener
            let log = members[index].log
            let started = try await HostProcess(command, generation, on: listener, log: log, state: state)
            reload.next = started
            attend(started)
            if isStopping { started.process.signal(SIGKILL) }
            after(Self.patience, .nextIsTooSlow(started))
        } catch {
            abandonReload("\(error)")
        }
    }

    /// The old one is told; it leaves new connections to the new one and serves the last requests of its own.
    func swap(to new: HostProcess) {
        reload.next = nil
        guard !isStopping, let index = members.firstIndex(where: { $0.name == new.name }) else {
            reload.retiring.append(new)
            return
        }
        let old = members[index]
        members[index].process = new
        members[index].starts += 1
        members[index].generation = new.generation
        members[index].restarts = RestartPolicy()
        (members[index].isReady, members[index].isGivenUp) = (true, false)
        if let process = old.process {
            // Where an older one accepts still, this one never has.
            if old.isReady { members[index].holder = old.holder ?? process }
            retire(old)
        }
        if members[index].holder == nil { new.accept() }
    }

    private func retire(_ member: Member) {
        guard let old = member.process else { return }
        reload.retiring.append(old)
        if member.isReady { old.retire() } else { old.process.signal(SIGTERM) }
        after(drainLimit, .retiredTooLong(old))
    }

    private func finishReload(_ new: Generation) {
        let took = (ContinuousClock.now - reload.began).readable
        reload.swapping = nil
        if let restarted = reload.restarted {
            console.note("restarted \(restarted) in \(took)")
        } else {
            generation = new
            let built = reload.buildTook.map { ", \($0.readable) of them building" } ?? ""
            console.note("reloaded in \(took)\(built)")
            // What functions.yaml has no more.
            for gone in members where !reload.names.contains(gone.name) { retire(gone) }
            members.removeAll { !reload.names.contains($0.name) }
        }
        startReload()
    }

    private func abandonReload(_ reason: String) {
        let swapped = members.count { $0.generation.number == reload.swapping?.number && $0.process != nil }
        (reload.swapping, reload.queue) = (nil, [])
        // New places that nobody has taken.
        members.removeAll { $0.process == nil && $0.starts == 0 && !$0.isGivenUp }
        forgetExecutables()
        guard !isStopping else { return }
        console.fail("\(reason); \(meanwhile)")
        if swapped > 0 { console.note("\(swapped) of \(members.count) hosts are new ones") }
        startReload()
    }

    func nextEnded(_ ended: HostProcess, _ status: ProcessEnd) {
        reload.next = nil
        unlink(ended.inFlight)
        abandonReload("the new \(ended.name) ended before it was ready (\(status))")
    }

    func giveUp(_ slow: HostProcess) {
        console.fail("the new \(slow.name) was not ready after \(Self.patience.readable)")
        slow.process.signal(SIGKILL)
    }

    /// Lets the new host accept, as the old one does no more.
    func handOver(from old: HostProcess) {
        guard let index = members.firstIndex(where: { $0.holder === old }) else { return }
        members[index].holder = nil
        if members[index].isReady { members[index].process?.accept() }
    }

    func retiredEnded(_ ended: HostProcess) {
        handOver(from: ended)
        reload.retiring.removeAll { $0 === ended }
        unlink(ended.inFlight)
        forgetExecutables()
    }

    /// Removes the builds that nobody runs any more, nor is to.
    private func forgetExecutables() {
        var used: Set<String> = []
        for generation in [generation, reload.preparing, reload.swapping, reload.next?.generation] {
            if let generation { used.insert(generation.executable) }
        }
        for member in members { used.insert(member.generation.executable) }
        for old in reload.retiring { used.insert(old.generation.executable) }
        state.forgetExecutables(except: used)
    }
}
