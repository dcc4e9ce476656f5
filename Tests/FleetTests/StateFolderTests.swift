import Foundation
import Testing

@testable import Fleet

@Suite struct StateFolderTests {
    @Test func isClosedToOthers() throws {
        let folder = try TemporaryFolder()
        let state = StateFolder(root: folder.path)

        try state.prepare()

        #expect(mode(of: state.path) == (geteuid() == 0 ? 0o711 : 0o700))
    }

    @Test func narrowsAFolderThatWasMadeWiderByAnother() throws {
        let folder = try TemporaryFolder()
        let state = StateFolder(root: folder.path)
        try FileManager.default.createDirectory(
            atPath: state.path,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o755]
        )

        try state.prepare()

        #expect(mode(of: state.path) & 0o066 == 0)
    }

    @Test func refusesALinkInItsPlace() throws {
        let folder = try TemporaryFolder()
        let state = StateFolder(root: folder.path)
        try FileManager.default.createSymbolicLink(atPath: state.path, withDestinationPath: "/tmp")

        #expect(throws: FleetError("\(state.path) is not a folder", remedy: "move it away")) { try state.prepare() }
    }

    @Test func namesACheckoutTheSameOnEveryStart() {
        #expect(StateFolder(root: "/srv/delightchat").fingerprint == StateFolder(root: "/srv/delightchat").fingerprint)
        #expect(StateFolder(root: "/srv/delightchat").fingerprint != StateFolder(root: "/srv/delightchat2").fingerprint)
        #expect(StateFolder(root: "/srv/delightchat").fingerprint.utf8.count <= 10)
    }

    @Test func socketsLieWhereTheirPathsFit() throws {
        let short = StateFolder(root: "/srv/delightchat")
        let long = StateFolder(root: "/srv/" + String(repeating: "a", count: 100))
        let names = ["api", "redis"]

        let inside = try short.sockets(names, environment: [:])
        let outside = try long.sockets(names, environment: [:])
        defer { rmdir("/tmp/delightchat-\(geteuid())-\(long.fingerprint)") }

        #expect(inside["api"] == "/srv/delightchat/.runner/run/host-api.sock")
        // The private Redis listens on redis.sock beside them.
        #expect(inside["redis"] == "/srv/delightchat/.runner/run/host-redis.sock")
        #expect(outside.values.allSatisfy { $0.utf8.count <= ServerPlaces.longestSocketPath })
        #expect(Set(outside.values).count == 2)
    }

    @Test func wipesTheServersAndKeepsTheSecrets() throws {
        let folder = try TemporaryFolder()
        let state = StateFolder(root: folder.path)
        try state.prepare()
        _ = try Secrets(file: state.secrets, making: ["JWT_SECRET"], environment: [:])
        let elsewhere = "\(folder.path)/elsewhere"
        try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(atPath: state.postgres, withDestinationPath: elsewhere)
        try FileManager.default.createDirectory(atPath: state.redis, withIntermediateDirectories: false)

        try state.wipe()

        #expect(access(state.postgres, F_OK) != 0)
        #expect(access(elsewhere, F_OK) != 0)
        #expect(access(state.redis, F_OK) != 0)
        #expect(access(state.secrets, F_OK) == 0)
    }

    @Test func endsWhatAnEarlierRunLeft() async throws {
        let folder = try TemporaryFolder()
        let state = StateFolder(root: folder.path)
        try state.prepare()
        let child = try await ChildProcess.start(
            Launch(name: "redis", executable: "/bin/sleep", arguments: ["1000"], environment: [:])
        )
        state.record(child)

        let ended = await state.endLeftover("redis", SIGTERM)

        #expect(ended)
        #expect(await child.exit() == .signalled(SIGTERM))
        #expect(await state.endLeftover("redis", SIGTERM) == false)
    }

    @Test func leavesAProcessAloneThatOnlyHasTheNumber() async throws {
        let folder = try TemporaryFolder()
        let state = StateFolder(root: folder.path)
        try state.prepare()
        let child = try await ChildProcess.start(
            Launch(name: "redis", executable: "/bin/sleep", arguments: ["1000"], environment: [:])
        )
        try "\(child.pid) 1\n".write(toFile: state.record(of: "redis"), atomically: true, encoding: .utf8)

        let ended = await state.endLeftover("redis", SIGKILL)

        #expect(!ended)
        #expect(child.status == nil)
        _ = await child.stop(SIGKILL, grace: .seconds(5))
    }
}

@Suite struct ProcessRecordTests {
    @Test func readsTheStartTimeBehindAnyCommandName() {
        let stat = "4711 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20"

        #expect(ProcessRecord(pid: 4711, stat: stat)?.startTicks == 987_654)
    }

    @Test func takesAZombieForGone() {
        let stat = "4711 (sh) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20"

        #expect(ProcessRecord(pid: 4711, stat: stat) == nil)
    }

    @Test func knowsItselfAgain() throws {
        let record = try #require(ProcessRecord(runningAs: getpid()))

        #expect(record.isRunning)
        #expect(ProcessRecord(text: record.text) == record)
    }

    @Test(arguments: ["", "12", "1 5", "-4 5", "a b", "1 2 3"])
    func readsNothingElse(text: String) {
        #expect(ProcessRecord(text: text) == nil)
    }
}

@Suite struct StateLockTests {
    @Test func saysWhoHoldsIt() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/lock"
        guard case .taken(let lock) = try StateLock.take(path, port: 3000) else {
            Issue.record("the lock of a new folder was taken")
            return
        }

        let second = try StateLock.take(path, port: 4000)

        guard case .held(let holder?) = second else {
            Issue.record("the lock was given twice")
            return
        }
        #expect(holder.pid == getpid())
        #expect(holder.port == 3000)
        #expect(abs(holder.since.timeIntervalSinceNow) < 60)
        #expect(StateLock.holder(path) == holder)
        withExtendedLifetime(lock) {}
    }

    @Test func isFreeWhenItsHolderIsGone() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/lock"
        do { _ = try StateLock.take(path, port: 3000) }

        #expect(StateLock.holder(path) == nil)
        guard case .taken = try StateLock.take(path, port: 3000) else {
            Issue.record("the lock outlived its holder")
            return
        }
    }

    @Test func isNotKeptByAChild() async throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/lock"
        var lock: StateLock?
        if case .taken(let taken) = try StateLock.take(path, port: 3000) { lock = taken }
        let child = try await ChildProcess.start(
            Launch(name: "sleep", executable: "/bin/sleep", arguments: ["1000"], environment: [:])
        )
        #expect(lock != nil)

        lock = nil

        #expect(StateLock.holder(path) == nil)
        _ = await child.stop(SIGKILL, grace: .seconds(5))
    }
}

@Suite struct SecretsTests {
    @Test func makesThemOnceForTheOwnerAlone() throws {
        let folder = try TemporaryFolder()
        let file = "\(folder.path)/env"

        let first = try Secrets(file: file, making: ["JWT_SECRET", "ENCRYPTION_KEY"], environment: [:])
        let second = try Secrets(file: file, making: ["JWT_SECRET", "ENCRYPTION_KEY"], environment: [:])

        #expect(first == second)
        #expect(first.values.keys.sorted() == ["ENCRYPTION_KEY", "JWT_SECRET"])
        #expect(first.values.values.allSatisfy { $0.wholeMatch(of: /[0-9a-f]{64}/) != nil })
        #expect(first.values["JWT_SECRET"] != first.values["ENCRYPTION_KEY"])
        #expect(mode(of: file) == 0o600)
    }

    @Test func addsANewOneAndKeepsTheOthers() throws {
        let folder = try TemporaryFolder()
        let file = "\(folder.path)/env"
        let first = try Secrets(file: file, making: ["JWT_SECRET"], environment: [:])

        let second = try Secrets(file: file, making: ["JWT_SECRET", "METRICS_TOKEN"], environment: [:])

        #expect(second.values["JWT_SECRET"] == first.values["JWT_SECRET"])
        #expect(second.values["METRICS_TOKEN"]?.count == 64)
    }

    @Test func makesNoneThatTheEnvironmentSets() throws {
        let folder = try TemporaryFolder()
        let file = "\(folder.path)/env"

        let secrets = try Secrets(file: file, making: ["JWT_SECRET"], environment: ["JWT_SECRET": "given"])

        #expect(secrets.values == [:])
        #expect(access(file, F_OK) != 0)
    }

    @Test func keepsWhatSomebodyWroteByHand() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("# mine\nJWT_SECRET=abc=def\nOTHER=1", to: "env")

        let secrets = try Secrets(file: file, making: ["JWT_SECRET", "METRICS_TOKEN"], environment: [:])
        let text = try String(contentsOfFile: file, encoding: .utf8)

        #expect(secrets.values["JWT_SECRET"] == "abc=def")
        #expect(secrets.values["OTHER"] == "1")
        #expect(text.hasPrefix("# mine\nJWT_SECRET=abc=def\nOTHER=1\nMETRICS_TOKEN="))
    }
}

@Suite struct CheckoutTests {
    @Test func isFoundFromAFolderBelowAndFromTheExecutable() throws {
        let folder = try TemporaryFolder()
        _ = try folder.write("", to: "functions.yaml")
        _ = try folder.write("", to: "Package.swift")

        #expect(Checkout.root(from: "\(folder.path)/Sources/Helpdesk", executable: nil) == folder.path)
        #expect(Checkout.root(from: "/", executable: "\(folder.path)/.build/debug/runner") == folder.path)
        #expect(Checkout.root(from: "/", executable: nil) == nil)
    }
}

@Suite struct PortTests {
    @Test func readsTheListenersOfThatPort() {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
               1: 0100007F:0BB8 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 222 1
               2: 00000000:0BB9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1
            """

        #expect(Port.inodes(in: table, listeningOn: 3000) == ["111"])
        #expect(Port.inodes(in: table, listeningOn: 80) == [])
    }

    @Test func namesTheProcessThatListens() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try #require(bind(descriptor, $0, size) == 0)
                try #require(listen(descriptor, 1) == 0)
                try #require(getsockname(descriptor, $0, &size) == 0)
            }
        }
        let port = Int(in_port_t(bigEndian: address.sin_port))

        let user = Port.user(of: port)

        #expect(user?.hasPrefix("pid \(getpid()) (") == true)
    }
}
