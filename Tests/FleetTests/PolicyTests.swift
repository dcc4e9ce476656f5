import Fleet
import Testing

@Suite struct RestartPolicyTests {
    @Test func doublesThePauseAfterEveryCrashInARowUpToTheLongest() {
        var policy = RestartPolicy(first: .milliseconds(100), longest: .seconds(1), steady: .seconds(10))

        let decisions = (0..<6).map { _ in policy.decide(.signalled(9), uptime: .seconds(1)) }

        #expect(
            decisions == [100, 200, 400, 800, 1000, 1000].map { .restart(after: .milliseconds($0)) }
        )
    }

    @Test func beginsAnewAfterASteadyRun() {
        var policy = RestartPolicy(first: .milliseconds(100), longest: .seconds(1), steady: .seconds(10))
        _ = policy.decide(.signalled(4), uptime: .seconds(1))
        _ = policy.decide(.signalled(4), uptime: .seconds(1))

        let decision = policy.decide(.signalled(4), uptime: .seconds(10))

        #expect(decision == .restart(after: .milliseconds(100)))
        #expect(policy.failures == 1)
    }

    @Test(arguments: [0, 2, 3, 64, 78] as [Int32])
    func doesNotStartAgainWhatEndedOnPurpose(status: Int32) {
        var policy = RestartPolicy()

        #expect(policy.decide(.exited(status), uptime: .seconds(1)) == .end(status: status))
    }

    @Test func startsAgainAfterAnOrdinaryFailure() {
        var policy = RestartPolicy()

        #expect(policy.decide(.exited(1), uptime: .seconds(1)) == .restart(after: .milliseconds(100)))
    }

    @Test func neverGivesUpAndNeverOverflows() {
        var policy = RestartPolicy()
        for _ in 0..<10_000 { _ = policy.decide(.signalled(6), uptime: .zero) }

        #expect(policy.decide(.signalled(6), uptime: .zero) == .restart(after: .seconds(5)))
    }
}

@Suite struct ProcessEndTests {
    @Test(arguments: [
        (0, ProcessEnd.exited(0), 0),
        (0x0300, .exited(3), 3),
        (0xFF00, .exited(255), 255),
        (9, .signalled(9), 137),
        (0x84, .signalled(4), 132),
    ])
    func readsTheStatusWordOfTheKernel(word: Int32, status: ProcessEnd, shell: Int32) {
        #expect(ProcessEnd(waitStatus: word) == status)
        #expect(status.shellStatus == shell)
    }

    @Test func namesTheSignal() {
        #expect("\(ProcessEnd.signalled(9))" == "signal 9 (SIGKILL)")
        #expect("\(ProcessEnd.exited(3))" == "exit status 3")
    }
}
