import Functions
import Security
import Testing

@testable import Helpdesk

@Suite struct WebhookVerdictTests {
    private static func verdict(_ status: Int?, attempts: Int, age: Duration = .zero) -> WebhookVerdict {
        WebhookVerdict(status: status, fault: "it broke", attempts: attempts, age: age, jitter: 0)
    }

    @Test(arguments: [200, 201, 204, 299])
    func anySuccessIsDelivered(_ status: Int) {
        #expect(Self.verdict(status, attempts: 1) == .delivered)
    }

    @Test func waitsLongerEachTimeAndGivesUpAfterThreeDays() {
        var age = Duration.zero
        var pauses: [Duration] = []
        for attempt in 1... {
            guard case .again(let pause, "The endpoint answered 500.") = Self.verdict(500, attempts: attempt, age: age)
            else { break }
            pauses.append(pause)
            age += pause
        }

        #expect(pauses.first == .seconds(5))
        #expect(pauses == pauses.sorted())
        #expect((9...12).contains(pauses.count))
        #expect(age > .seconds(2 * 86_400) && age <= WebhookVerdict.patience)
    }

    @Test func tellsWhyThereWasNoAnswer() {
        #expect(Self.verdict(nil, attempts: 1) == .again(after: .seconds(5), "it broke"))
        #expect(Self.verdict(302, attempts: 1) == .again(after: .seconds(5), "The endpoint answered 302."))
    }

    @Test func whoIsGoneIsNotAskedAgain() {
        #expect(Self.verdict(410, attempts: 1) == .failed("The endpoint answered 410."))
    }
}

@Suite struct WebhookSecretTests {
    /// The example of the Standard Webhooks libraries.
    @Test func signsAsTheStandardSays() throws {
        let secret = WebhookSecret(bytes: try #require(Base64.standard.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")))

        let signature = secret.signature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: 1_614_265_330,
            body: Array(#"{"test": 2432232314}"#.utf8)
        )

        #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        #expect(secret.text == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    }

    @Test func opensOnlyForItsEndpoint() throws {
        let sealed = try Sealed(key: String(repeating: "0123456789abcdef", count: 4))
        let (one, other) = (WebhookEndpoint.ID(), WebhookEndpoint.ID())
        let secret = WebhookSecret()

        let bytes = secret.sealed(for: one, with: sealed)

        #expect(try WebhookSecret.open(bytes, of: one, with: sealed) == secret)
        #expect(throws: SealedError.self) { try WebhookSecret.open(bytes, of: other, with: sealed) }
    }
}
