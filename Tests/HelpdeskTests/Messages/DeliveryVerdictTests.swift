import Connectors
import Testing

@testable import Helpdesk

@Suite struct DeliveryVerdictTests {
    private let fault = SendFault("busy", "Later.")

    private func verdict(
        _ result: SendResult,
        attempts: Int = 1,
        age: Duration = .zero,
        jitter: Double = 1,
        unanswered: UnansweredSend = .fail
    ) -> DeliveryVerdict {
        DeliveryVerdict(result, attempts: attempts, age: age, jitter: jitter, unanswered: unanswered)
    }

    @Test func waitsTwiceAsLongEachTimeUpToFiveMinutes() {
        let pauses = (1...12).map { DeliveryVerdict.backoff(attempts: $0, jitter: 1) }

        #expect(pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map { .seconds($0) })
        #expect(DeliveryVerdict.backoff(attempts: 5, jitter: 0.5) == .seconds(8))
        #expect(DeliveryVerdict.backoff(attempts: 5, jitter: 0) == .zero)
    }

    @Test func waitsAtLeastAsLongAsTheProviderSays() {
        #expect(verdict(.retry(after: .seconds(90), fault)) == .again(after: .seconds(90)))
        #expect(verdict(.retry(after: .milliseconds(1), fault)) == .again(after: .seconds(1)))
    }

    /// A limit that all share is nobody's failure, however long it lasts; they don't all come back at the same instant.
    @Test func aSharedLimitIsWaitedFor() {
        #expect(verdict(.pace(after: .seconds(5), fault), jitter: 0) == .paced(after: .seconds(5)))
        #expect(verdict(.pace(after: nil, fault), jitter: 1) == .paced(after: .seconds(6)))
        #expect(
            verdict(.pace(after: .seconds(80_000), fault), attempts: 8, age: .seconds(3600), jitter: 0)
                == .paced(after: .seconds(80_000))
        )
    }

    @Test func endsAfterEightAttemptsOrAnHour() {
        #expect(verdict(.retry(after: nil, fault), attempts: 7) == .again(after: .seconds(64)))
        #expect(verdict(.retry(after: nil, fault), attempts: 8) == .failed(fault))
        #expect(verdict(.retry(after: .seconds(1800), fault), age: .seconds(1800)) == .again(after: .seconds(1800)))
        #expect(verdict(.retry(after: .seconds(1800), fault), age: .seconds(1801)) == .failed(fault))
    }

    @Test func sendsAgainWithoutAnAnswerOnlyWhereThatIsSafe() {
        #expect(verdict(.unanswered(fault), unanswered: .resend) == .again(after: .seconds(1)))
        for unanswered in [UnansweredSend.await, .awaitInVain, .fail] {
            #expect(verdict(.unanswered(fault), unanswered: unanswered) == .unknown)
        }
    }

    @Test func tellsWhoseFaultItIs() {
        #expect(verdict(.recipient(fault)) == .failed(fault))
        #expect(verdict(.message(fault)) == .failed(fault))
        #expect(verdict(.template(fault)) == .failed(fault))
        #expect(verdict(.strangers(fault)) == .failed(fault))
        #expect(verdict(.channel(fault)) == .held(fault))
        #expect(verdict(.expired(fault)) == .held(fault))
        #expect(
            verdict(.accepted(externalId: "x", isDelivered: true)) == .accepted(externalId: "x", isDelivered: true)
        )
    }
}
