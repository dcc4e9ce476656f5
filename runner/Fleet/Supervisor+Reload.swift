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
    /// A new host that doesn't serve yet.
    var next: HostProcess?
    /// Old ones that serve the last requests of their connections.
    var retiring: [HostProcess] = []
    /// The old one that accepts still, though the new one could.
    var holder: HostProcess?
    /// Counts generations, those that never served too.
    var number = 1
    var began = ContinuousClock.now
    var buildTook: Duration?
    /// Whether any host has served; before, a fault ends `runner up`.
    var hasServed = false
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
            inFlight: state.inFlight(1),
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
        if isReady { reload.hasServed = true }
        guard reload.hasServed, !isStopping, reload.task == nil, reload.next == nil, !reload.pending.isEmpty else {
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

    /// Ends what a reload is doing; its host, if it has one, too.
    func stopReload() {
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
        guard let current = generation, let addresses, let listener else { return }
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
            inFlight: state.inFlight(number),
            product: isRebuilt ? FileStamp(tools.product) : current.product,
            manifest: FileStamp("\(state.root)/\(SourceTree.manifest)")
        )
        if !isRebuilt, next.manifest == current.manifest, !isWaitingForChange {
            console.note("the program is the same as before")
            return
        }
        reload.number = number
        var isStarted = false
        defer { if !isStarted { discard(next) } }
        guard try await check(next.executable) else { return }
        if isRebuilt { guard try await migrate(next.executable, addresses) else { return } }
        guard !isStopping else { return }

        let command = try steps.host(addresses, next)
        let started = try await HostProcess(command, next, on: listener, state: state)
        isStarted = true
        reload.next = started
        attend(started)
        if isStopping { started.process.signal(SIGKILL) }
        after(Self.patience, .nextIsTooSlow(started))
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
        isWaitingForChange ? "nothing serves until that is mended" : "the old host serves on"
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

// MARK: - From the old host to the new one

extension Supervisor {
    /// The old one is told; it leaves new connections to the new one and serves the last requests of its own.
    func swap(to new: HostProcess) {
        reload.next = nil
        guard !isStopping else {
            reload.retiring.append(new)
            return
        }
        let (old, wasReady) = (host, isReady)
        host = new
        generation = new.generation
        hostRestarts = RestartPolicy()
        (isReady, isWaitingForChange) = (true, false)
        let built = reload.buildTook.map { ", \($0.readable) of them building" } ?? ""
        console.note("reloaded in \((ContinuousClock.now - reload.began).readable)\(built)")
        if let old {
            reload.retiring.append(old)
            if wasReady {
                // Where an older one accepts still, this one never has.
                reload.holder = reload.holder ?? old
                old.retire()
            } else {
                old.process.signal(SIGTERM)
            }
            after(drainLimit, .retiredTooLong(old))
        }
        if reload.holder == nil { new.accept() }
        startReload()
    }

    func nextEnded(_ ended: HostProcess, _ status: ProcessEnd) {
        reload.next = nil
        discard(ended.generation)
        guard !isStopping else { return }
        console.fail("the new host ended before it was ready (\(status)); \(meanwhile)")
        startReload()
    }

    func giveUp(_ slow: HostProcess) {
        console.fail("the new host was not ready after \(Self.patience.readable)")
        slow.process.signal(SIGKILL)
    }

    /// Lets the new host accept, as the old one does no more.
    func handOver() {
        reload.holder = nil
        if isReady { host?.accept() }
    }

    func retiredEnded(_ ended: HostProcess) {
        if ended === reload.holder { handOver() }
        reload.retiring.removeAll { $0 === ended }
        discard(ended.generation)
    }

    /// Removes what only this generation needed: one after a change of functions.yaml runs the program of the one before.
    private func discard(_ old: Generation) {
        guard old.number != generation?.number else { return }
        state.discard(old, keeping: generation?.executable)
    }
}
