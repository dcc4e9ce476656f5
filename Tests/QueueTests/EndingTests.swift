import Testing

@testable import Queue

@Suite struct EndingTests {
    private let options = ConsumerOptions(attempts: 3, backoff: .exponential(.seconds(2)))

    private func job(made: Int = 0, stalled: Int = 0, _ options: String = "{}") -> Job {
        Job(
            id: "7",
            queue: "q",
            name: "n",
            data: "{}",
            attemptsMade: made,
            stalledCount: stalled,
            options: JobOptions(parsing: options)
        )
    }

    private func decide(_ job: Job, _ outcome: JobOutcome) -> Ending {
        Ending.deciding(job, outcome, options, random: 0.5)
    }

    @Test func failsUntilTheAttemptsAreUsedUp() {
        let first = decide(job(), .failed(reason: "boom"))
        let second = decide(job(made: 1), .failed(reason: "boom"))
        let third = decide(job(made: 2), .failed(reason: "boom"))

        #expect(first.kind == .delay)
        #expect(first.delay == .seconds(2))
        #expect(second.delay == .seconds(4))
        #expect(third.kind == .failed)
        #expect(third.flag)
    }

    @Test func countsRunsThatKilledTheirWorker() {
        #expect(decide(job(made: 1, stalled: 1), .failed(reason: "boom")).kind == .failed)
        #expect(decide(job(stalled: 1), .failed(reason: "boom")).delay == .seconds(4))
    }

    @Test func letsTheJobsOwnOptionsDecide() {
        let own = #"{"attempts":5,"backoff":100,"removeOnFail":7,"removeOnComplete":true,"lifo":true}"#

        #expect(decide(job(made: 3, own), .failed(reason: "b")).delay == .milliseconds(100))
        #expect(decide(job(made: 4, own), .failed(reason: "b")).retention == Retention(count: 7))
        #expect(decide(job(own), .completed()).retention == .nothing)
        #expect(decide(job(own), .retry(after: .zero, reason: "b")).flag)
        #expect(decide(job(#"{"attempts":0}"#), .failed(reason: "b")).kind == .delay)
        #expect(decide(job(#"{"attempts":1}"#), .failed(reason: "b")).kind == .failed)
    }

    @Test func countsARetryButNoSnooze() {
        #expect(decide(job(made: 2), .retry(after: .seconds(9), reason: "b")).kind == .failed)
        #expect(decide(job(made: 2), .snooze(.seconds(9))).kind == .snooze)
        #expect(decide(job(), .snooze(.zero)).delay == .milliseconds(1))
        #expect(decide(job(), .retry(after: .zero, reason: "b")).kind == .retry)
    }

    @Test func discardsAtOnce() {
        let ending = decide(job(), .discard(reason: "never"))

        #expect(ending.kind == .failed)
        #expect(ending.value == "never")
        #expect(!ending.flag)
    }

    @Test func keepsTheLatestFailures() {
        let job = Job(
            id: "7",
            queue: "q",
            name: "n",
            data: "{}",
            options: JobOptions(parsing: #"{"stackTraceLimit":2}"#),
            stacktrace: #"["one","two \"2\""]"#
        )

        #expect(decide(job, .failed(reason: "three")).stacktrace == #"["two \"2\"","three"]"#)
    }
}
