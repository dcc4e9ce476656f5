import NIOCore
import Testing

@testable import Redis

@Suite struct BackoffTests {
    @Test func doublesUpToASecond() {
        let delays = (0...8).map { Backoff.delay(afterFailures: $0) }

        #expect(delays == [0, 50, 100, 200, 400, 800, 1000, 1000, 1000].map { .milliseconds($0) })
        #expect(Backoff.delay(afterFailures: .max) == .seconds(1))
    }
}
