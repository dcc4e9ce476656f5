import Foundation
import TestSupport
import Testing

/// `runner up` while its sources and functions.yaml change. No compiler runs here: the build is a line for the shell.
@Suite struct WatchTests {
    /// Makes a product that is a new file each time and runs the same program.
    private static let build = """
        mkdir -p "$1/.build/debug" && cd "$1/.build/debug" &&
        printf '#!/bin/sh\\nexec "%s" "$@"\\n' '\(Checkout.executable)' >new && chmod +x new && mv new runner
        """

    @Test func noRequestFailsWhileHostsAreSwapped() async throws {
        let up = try await RunningUp(build: Self.build)
        let first = try #require(up.host)
        let callers = SteadyCallers(port: up.port, path: "/health", keeping: 4, renewing: 4)
        defer { callers.halt() }
        let idle = try RawConnection(port: up.port)
        let before = try idle.get("/health")

        for number in 1...3 {
            try up.write("struct A { let a = \(number) }", to: "Sources/A.swift")
            try await up.says("reloaded in", times: number)
            let answered = callers.count
            _ = try await eventually(within: .seconds(60)) { callers.count > answered + 100 ? true : nil }
        }
        _ = try await eventually(within: .seconds(60)) { first.isAlive ? nil : true }
        let (answers, failures) = try await callers.stop()
        let after = try await up.api.get("/ready")
        up.stop()

        // Whoever asks again in the very moment of the close, after seconds without a word, can't be told before.
        #expect(failures.filter { $0 != "kept: closed" } == [])
        #expect(answers > 300)
        #expect(before.status == 200)
        #expect(after.status == 200)
        #expect(up.log.contains("of them building"))
    }

    @Test func aConnectionInUseIsToldThatItsHostEnds() async throws {
        let up = try await RunningUp(build: Self.build)
        let host = try #require(up.host)
        let connection = try RawConnection(port: up.port)
        var answer = try connection.get("/health")
        try up.write("struct A { let a = 1 }", to: "Sources/A.swift")

        let end = ContinuousClock.now + .seconds(60)
        while answer.isOpen, ContinuousClock.now < end {
            answer = try connection.get("/health")
            try await Task.sleep(for: .milliseconds(5))
        }
        let next = try RawConnection(port: up.port).get("/health")
        _ = try await eventually(within: .seconds(60)) { host.isAlive ? nil : true }
        up.stop()

        #expect(!answer.isOpen)
        #expect(answer.status == 200)
        #expect(next.isOpen)
    }

    @Test func aBuildThatFailsAndAManifestWithFaultsChangeNothing() async throws {
        let up = try await RunningUp(
            build:
                #"if grep -q tikcet "$1/Sources/A.swift"; then echo "$1/Sources/A.swift:1:1: error: no tikcet"; exit 1; fi; "#
                + Self.build
        )
        let first = up.host
        let manifest = try String(contentsOfFile: up.folder + "/functions.yaml", encoding: .utf8)

        try up.write("tikcet", to: "Sources/A.swift")
        try await up.says("  Sources/A.swift:1:1: error: no tikcet")
        let isFirst = up.host == first
        try up.write("struct A { let a = 1 }", to: "Sources/A.swift")
        try await up.says("reloaded in")
        _ = try await eventually(within: .seconds(60)) { first?.isAlive == true ? nil : true }
        let second = up.host
        try up.write(manifest.replacing("\nversion: 1", with: "\nversoin: 1"), to: "functions.yaml")
        try await up.says("functions.yaml has faults")
        try await up.says("unknown key \"versoin\"")
        let health = try await up.api.get("/health")
        let isSecond = up.host == second
        up.stop()

        #expect(health.status == 200)
        #expect(first != nil)
        #expect(isFirst)
        #expect(second != nil)
        #expect(isSecond)
        #expect(try #require(up.log.firstMatch(of: /functions\.yaml:(\d+):(\d+): error: unknown key/)).1 != "0")
    }

    @Test func aChangeOfTheManifestAloneIsServed() async throws {
        let up = try await RunningUp(build: "echo 'there is nothing to build'; exit 1")
        let acme = try await Organisation.signUp(up.api)
        let manifest = try String(contentsOfFile: up.folder + "/functions.yaml", encoding: .utf8)
        // What it answers is not what the description says.
        let api = APIClient(base: up.api.base, token: acme.api.token, isOurs: false)
        let before = try await api.get("/auth/me")

        try up.write(manifest.replacing("GET /auth/me", with: "GET /auth/myself"), to: "functions.yaml")
        try await up.says("reloaded in")
        // The old host answers what its open connections still ask.
        let old = try await eventually {
            let old = try await api.get("/auth/me")
            return old.status == 404 ? old : nil
        }
        let new = try await api.get("/auth/myself")
        up.stop()

        #expect(before.status == 200)
        #expect(old.status == 404)
        #expect(new.status == 200)
        #expect(!up.log.contains("building"))
    }

    @Test(arguments: [SIGKILL, SIGINT])
    func anEndDuringABuildLeavesNoProcess(signal: Int32) async throws {
        let up = try await RunningUp(build: "exec sleep 600")
        try up.write("struct A { let a = 1 }", to: "Sources/A.swift")
        let children = try await eventually(within: .seconds(60)) {
            let children = ProcessIdentity.descendants(of: up.pid)
            return children.contains { $0.command.contains("sleep 600") } ? children : nil
        }

        kill(up.pid, signal)
        _ = try await eventually(within: .seconds(60)) { children.contains(where: \.isAlive) ? nil : true }

        #expect(children.filter(\.isAlive) == [])
        #expect(children.contains { $0.command.contains(" serve ") })
    }
}
