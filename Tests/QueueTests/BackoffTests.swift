import Testing

@testable import Queue

@Suite struct BackoffTests {
    @Test(arguments: [
        (Backoff.fixed(.seconds(2)), 1, 0.9, 2000),
        (.fixed(.seconds(2)), 7, 0.9, 2000),
        (.exponential(.seconds(2)), 1, 0.9, 2000),
        (.exponential(.seconds(2)), 3, 0.9, 8000),
        (.exponential(.seconds(2), max: .seconds(5)), 3, 0.9, 5000),
        (.exponential(.seconds(2), max: .seconds(600)), 2000, 0.9, 600_000),
        (.exponential(.seconds(2)), 2000, 0.9, 366 * 86_400_000),
        (.fixed(.seconds(2), jitter: 0.5), 1, 0, 1000),
        (.fixed(.seconds(2), jitter: 0.5), 1, 0.5, 1500),
        (.exponential(.seconds(1), jitter: 1), 2, 0.25, 500),
        (.fixed(.zero), 1, 0.5, 0),
    ])
    func delaysByKindAttemptAndChance(_ backoff: Backoff, _ attempt: Int, _ random: Double, _ milliseconds: Int) {
        #expect(backoff.delay(afterAttempt: attempt, random: random) == .milliseconds(milliseconds))
    }

    @Test(arguments: [
        ("500", Backoff.fixed(.milliseconds(500))),
        (#"{"type":"fixed","delay":250}"#, .fixed(.milliseconds(250))),
        (#"{"type":"exponential","delay":500,"jitter":0.5}"#, .exponential(.milliseconds(500), jitter: 0.5)),
        (#"{"type":"exponential","delay":500,"max":9000}"#, .exponential(.milliseconds(500), max: .seconds(9))),
        (#"{"type":"theirs","delay":500}"#, nil),
        (#""soon""#, nil),
    ])
    func readsTheOptionsOfOtherClients(_ text: String, _ expected: Backoff?) throws {
        #expect(Backoff(try #require(JSONText(parsing: text))) == expected)
    }

    @Test(arguments: [
        Backoff.fixed(.milliseconds(250)), .exponential(.seconds(2), max: .seconds(600), jitter: 0.25),
    ])
    func readsWhatItWrites(_ backoff: Backoff) throws {
        #expect(Backoff(try #require(JSONText(parsing: backoff.json))) == backoff)
    }
}
