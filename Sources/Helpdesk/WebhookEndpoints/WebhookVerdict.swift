/// What becomes of a delivery after an attempt: a decision without effects.
enum WebhookVerdict: Sendable, Equatable {
    case delivered
    /// Tried again after that time.
    case again(after: Duration, String)
    /// Given up.
    case failed(String)
    /// What the event was about is there no more.
    case gone

    /// How long it is tried.
    static let patience = Duration.seconds(3 * 86_400)

    /// The pauses between attempts; the last one is repeated.
    private static let pauses: [Duration] = [
        .seconds(5), .seconds(60), .seconds(300), .seconds(1800), .seconds(2 * 3600), .seconds(5 * 3600),
        .seconds(10 * 3600), .seconds(14 * 3600), .seconds(20 * 3600),
    ]

    /// Decides by the answer's status, or why there was none; how many attempts there were (from 1), how long ago the first
    /// was, and how much of a tenth of the pause is added (0…1).
    init(status: Int?, fault: String?, attempts: Int, age: Duration, jitter: Double) {
        if let status, (200..<300).contains(status) {
            self = .delivered
            return
        }
        let reason = status.map { "The endpoint answered \($0)." } ?? fault ?? "There was no answer."
        // RFC 9110 §15.5.11: whoever answers so wants nothing more.
        if status == 410 {
            self = .failed(reason)
            return
        }
        let pause = Self.pauses[min(max(attempts, 1), Self.pauses.count) - 1]
        let jittered = pause + pause / 10 * min(max(jitter, 0), 1)
        self = age + jittered <= Self.patience ? .again(after: jittered, reason) : .failed(reason)
    }
}
