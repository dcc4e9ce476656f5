import Foundation
import TestSupport
import Testing

/// `runner up`, its private servers and its host.
@Suite struct SupervisorTests {
    @Test func aKilledSupervisorLeavesNoProcessBehindAndTheNextOneGoesOnWithItsData() async throws {
        let up = try await RunningUp()
        let acme = try await Organisation.signUp(up.api)
        let children = ProcessIdentity.descendants(of: up.pid)

        up.kill()
        let remaining = try await children.remaining(within: .seconds(20))
        try await up.start()
        let me = try await acme.api.get("/auth/me")
        let others = ProcessIdentity.descendants(of: up.pid)
        up.stop()

        for name in ["postgres", "redis-server", "serve"] {
            #expect(children.contains { $0.command.contains(name) }, "\(name) is no child of runner up")
        }
        #expect(remaining == [])
        #expect(me.status == 200)
        #expect(try await others.remaining(within: .seconds(60)) == [])
    }

    @Test func aSecondUpNamesTheHolderAndACrashedHostIsStartedAgain() async throws {
        let up = try await RunningUp()
        let acme = try await Organisation.signUp(up.api)
        let host = try #require(up.host)

        let second = try await Command.run(up.arguments, in: up.folder)
        kill(host.pid, SIGKILL)
        _ = try await eventually { host.isAlive ? nil : true }
        try await up.becomeReady()
        let me = try await acme.api.get("/auth/me")
        let log = up.log
        up.stop()

        #expect(second.status == 1)
        #expect(second.errors.contains("already running"))
        #expect(second.errors.contains(String(up.pid)))
        #expect(second.errors.contains(String(up.port)))
        #expect(me.status == 200)
        #expect(log.contains("crashed"))
    }

    @Test func aMigrationThatWasChangedIsRefusedWithTheWayOut() async throws {
        let up = try await RunningUp()
        let change = "UPDATE schema_migrations SET checksum = 'another' WHERE version = 1"
        let changed = try await Command.run(["db", "psql", "--", "-c", change], in: up.folder)
        up.stop()

        let again = try await Command.run(up.arguments, in: up.folder)

        #expect(changed.status == 0, "\(changed.errors)")
        #expect(again.status == 1)
        #expect(again.errors.contains("was changed after it had been applied"))
        #expect(again.errors.contains("runner up --fresh"))
    }

    @Test(.enabled(if: ProductShape.current.isOneProcess, "what several are called is told by ProcessesTests"))
    func psNamesWhatRunsAndSince() async throws {
        let began = Date()
        let up = try await RunningUp()
        let ps = try await Command.run(["ps", "--json"], in: up.folder)
        let table = try await Command.run(["ps"], in: up.folder)
        let host = up.host
        up.stop()
        let none = try await Command.run(["ps"], in: up.folder)

        let processes = try #require(JSONSerialization.jsonObject(with: Data(ps.output.utf8)) as? [[String: Any]])
        #expect(processes.map { $0["name"] as? String } == ["supervisor", "host", "postgres", "redis"])
        #expect(processes.first?["pid"] as? Int == Int(up.pid))
        #expect(processes.dropFirst().first?["pid"] as? Int == host.map { Int($0.pid) })
        #expect(processes.dropFirst().first?["generation"] as? Int == 1)
        for process in processes {
            let since = try Date(try #require(process["since"] as? String), strategy: .iso8601)
            #expect(abs(since.timeIntervalSince(began)) < 120)
            #expect(try #require(process["rss"] as? Int) > 1 << 20)
        }
        #expect(table.output.split(separator: "\n").count == 5)
        #expect(none.status == 1)
        #expect(none.errors.contains("doesn't run here"))
    }
}

extension [ProcessIdentity] {
    /// Those that still run after that time.
    func remaining(within limit: Duration) async throws -> [ProcessIdentity] {
        let end = ContinuousClock.now + limit
        while contains(where: \.isAlive), ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(50)) }
        return filter(\.isAlive)
    }
}
