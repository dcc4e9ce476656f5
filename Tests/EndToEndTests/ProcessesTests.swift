import Foundation
import TestSupport
import Testing

/// `runner up --processes`: every part of the product in a process of its own, behind the gateway.
@Suite struct ProcessesTests {
    /// The functions that a message goes through from its webhook to its answer.
    private static let mainJob = [
        "sign-up", "create-channel", "receive-webhook", "receive-message", "list-tickets", "list-messages",
        "send-message", "deliver-message",
    ]

    @Test(arguments: [
        (["--processes"], ["api", "workers", "scheduler"]),
        (["--processes=function"] + mainJob.flatMap { ["--only", $0] }, mainJob),
    ])
    func theMainJobGoesThroughProcesses(options: [String], hosts: [String]) async throws {
        let up = try await RunningUp(options)
        let acme = try await Organisation.signUp(up.api)
        let channel = try await acme.channel()

        _ = try await up.api.persistentWebhook(channel, from: "+15550001", "Hello", id: "1")
        let ticket = try await eventually(within: .seconds(60)) { try await acme.tickets().first?["id"] as? String }
        let posted = try await acme.api.post("/orgs/\(acme.id)/tickets/\(ticket)/messages", ["text": "Hi"])
        let answered = try await eventually(within: .seconds(60)) { () -> [[String: Any]]? in
            let messages = try await acme.messages(of: ticket)
            return messages.last?["status"] as? String == "delivered" ? messages : nil
        }
        let unknown = try await up.api.get("/nothing/here")
        let ps = try await Command.run(["ps"], in: up.folder)
        let follower = LockedProcess()
        try follower.start(
            executable: Checkout.executable,
            arguments: ["logs", "-f", hosts[0], "--lines", "1000"],
            environment: ["PATH": "/usr/bin:/bin"],
            folder: up.folder
        )
        defer { follower.kill() }
        let signUps = { follower.log.components(separatedBy: "/auth/signup 201").count - 1 }
        _ = try await eventually(within: .seconds(60)) { signUps() == 1 ? true : nil }
        _ = try await Organisation.signUp(up.api)
        let isFollowed = try await eventually(within: .seconds(60)) { signUps() == 2 ? true : nil }
        let all = try await Command.run(["logs", "--lines", "1"], in: up.folder)
        let gateway = environment(of: try #require(process("gateway", up)))
        let processes = ProcessIdentity.descendants(of: up.pid)
        up.stop()

        #expect(posted.status == 201)
        #expect(answered.map { $0["text"] as? String } == ["Hello", "Hi"])
        #expect(unknown.status == 404)
        for name in hosts + ["gateway", "postgres", "redis"] {
            #expect(ps.output.contains("\n\(name) "), "\(ps.output)")
        }
        #expect(isFollowed)
        #expect(all.output.contains("gateway | "), "\(all.output) \(all.errors)")
        #expect(!gateway.contains { $0.hasPrefix("JWT_SECRET=") || $0.hasPrefix("DATABASE_URL=") })
        #expect(try await processes.remaining(within: .seconds(60)) == [])
    }

    @Test func noRequestFailsWhileEachProcessIsRestartedAndReloaded() async throws {
        let up = try await RunningUp(["--processes"], build: "echo 'there is nothing to build'; exit 1")
        let acme = try await Organisation.signUp(up.api)
        func callers() -> [SteadyCallers] {
            ["/health", "/orgs/\(acme.id)/tickets"].map {
                SteadyCallers(port: up.port, path: $0, token: acme.api.token, keeping: 2, renewing: 2)
            }
        }
        func goOn(_ callers: [SteadyCallers]) async throws {
            for each in callers {
                let answered = each.count
                _ = try await eventually(within: .seconds(60)) { each.count > answered + 50 ? true : nil }
            }
        }
        func stop(_ callers: [SteadyCallers]) async throws -> (answers: [Int], failures: [String]) {
            var (answers, failures): ([Int], [String]) = ([], [])
            for each in callers {
                let end = try await each.stop()
                answers.append(end.answers)
                failures += end.failures
            }
            return (answers, failures)
        }
        let before = process("api", up)

        let whileHosts = callers()
        defer { for each in whileHosts { each.halt() } }
        for name in ["api", "workers", "scheduler"] {
            let restart = try await Command.run(["restart", name], in: up.folder, within: .seconds(120))
            #expect(restart.status == 0, "\(restart.errors) \(up.log)")
            try await goOn(whileHosts)
        }
        let hosts = try await stop(whileHosts)
        let between = process("api", up)
        let whileAll = callers()
        defer { for each in whileAll { each.halt() } }
        let restart = try await Command.run(["restart"], in: up.folder, within: .seconds(120))
        try await goOn(whileAll)
        let manifest = try String(contentsOfFile: up.folder + "/functions.yaml", encoding: .utf8)
        try up.write(manifest.replacing("GET /orgs/users\n", with: "GET /orgs/people\n"), to: "functions.yaml")
        try await up.says("reloaded in")
        // What it answers is not what the description says.
        let api = APIClient(base: up.api.base, token: acme.api.token, isOurs: false)
        let moved = try await eventually(within: .seconds(60)) {
            try await api.get("/orgs/people").status == 200 ? true : nil
        }
        try await goOn(whileAll)
        let all = try await stop(whileAll)
        let after = process("api", up)
        up.stop()

        #expect(hosts.failures == [])
        #expect(hosts.answers.allSatisfy { $0 > 150 })
        #expect(restart.status == 0, "\(restart.errors) \(up.log)")
        // The gateway's own connections: whoever asks again in the very moment of the close can't be told before.
        #expect(all.failures.filter { $0 != "kept: closed" } == [])
        #expect(moved)
        #expect(before != nil && between != nil && after != nil)
        #expect(Set([before, between, after]).count == 3)
    }

    @Test func aTrapTakesDownItsOwnProcessAndTheOthersGoOn() async throws {
        let names = ["sign-up", "get-me", "log-in"]
        let up = try await RunningUp(["--processes=function"] + names.flatMap { ["--only", $0] })
        let acme = try await Organisation.signUp(up.api)
        let others = SteadyCallers(port: up.port, path: "/auth/me", token: acme.api.token, keeping: 2, renewing: 2)
        defer { others.halt() }
        let meBefore = process("get-me", up)

        // Deriving a key takes long enough to be found at work; when it isn't, once more.
        let failed = try await eventually(within: .seconds(120)) { () -> RawConnection.Message? in
            guard let own = process("log-in", up) else { return nil }
            let answer = try await answerOfTrapped(own, acme, up)
            return answer.status == 200 ? nil : answer
        }
        // It comes back by itself, and meanwhile is waited for.
        let api = APIClient(base: up.api.base, token: nil, isOurs: false)
        let after = try await eventually(within: .seconds(60)) {
            let answer = try await api.post(
                "/auth/login",
                ["email": acme.email, "password": "correct horse battery"]
            )
            return answer.status == 200 ? answer : nil
        }
        let answered = others.count
        _ = try await eventually(within: .seconds(60)) { others.count > answered + 50 ? true : nil }
        let (_, failures) = try await others.stop()
        let meAfter = process("get-me", up)
        let log = up.log
        up.stop()

        #expect(failed.status == 502)
        #expect(failed.header("Content-Type")?.hasPrefix("application/problem+json") == true)
        #expect(failed.text.contains(#""requestId":"trapped""#))
        #expect(after.status == 200)
        #expect(failures == [])
        #expect(meBefore != nil)
        #expect(meBefore == meAfter)
        #expect(log.contains("a trap in Swift code"))
        #expect(log.contains("in flight: log-in trapped"))
        #expect(!log.contains("get-me crashed"))
    }

    @Test func aKilledSupervisorLeavesNoProcessBehind() async throws {
        let up = try await RunningUp(["--processes"])
        let children = ProcessIdentity.descendants(of: up.pid)

        up.kill()
        let remaining = try await children.remaining(within: .seconds(20))
        try await up.start()
        let health = try await up.api.get("/ready")
        up.stop()

        #expect(children.count { $0.command.contains(" serve ") } == 3)
        #expect(children.contains { $0.command.contains(" gateway ") })
        #expect(remaining == [])
        #expect(health.status == 200)
    }

    // MARK: -

    /// Logs in, and ends the process as a trap does once it is at work on that.
    private func answerOfTrapped(
        _ process: ProcessIdentity,
        _ acme: Organisation,
        _ up: RunningUp
    ) async throws -> RawConnection.Message {
        let inFlight = environment(of: process).first { $0.hasPrefix("RUNNER_INFLIGHT=") }?.dropFirst(16) ?? ""
        let body = #"{"email":"\#(acme.email)","password":"correct horse battery"}"#
        let (port, path) = (up.port, String(inFlight))
        return try await onThread {
            let caller = try RawConnection(port: port)
            try caller.write(
                """
                POST /auth/login HTTP/1.1\r\nHost: a\r\nX-Request-Id: trapped\r\nContent-Type: application/json\r
                Content-Length: \(body.utf8.count)\r\n\r\n\(body)
                """
            )
            let end = ContinuousClock.now + .seconds(10)
            while ContinuousClock.now < end {
                // Not made yet: nothing is at work.
                let text = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
                if text?.contains("log-in trapped") == true {
                    kill(process.pid, SIGILL)
                    break
                }
            }
            return try caller.message()
        }
    }

    /// The newest process of that name.
    private func process(_ name: String, _ up: RunningUp) -> ProcessIdentity? {
        ProcessIdentity.descendants(of: up.pid)
            .filter { process in
                environment(of: process).contains { $0.contains("/inflight-\(name)-") }
            }
            .max { $0.pid < $1.pid }
    }

    private func environment(of process: ProcessIdentity) -> [String] {
        // Gone meanwhile: it has none.
        let text = (try? String(contentsOfFile: "/proc/\(process.pid)/environ", encoding: .utf8)) ?? ""
        return text.split(separator: "\0").map(String.init)
    }
}

/// Runs what blocks on a thread of its own.
private func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
