/// What a job's own options (`opts`) say about its runs; `nil` leaves a thing to the consumer.
struct JobOptions: Sendable, Equatable {
    var attempts: Int?
    var backoff: Backoff?
    var keepCompleted: Retention?
    var keepFailed: Retention?
    var lifo = false
    /// The latest so many failures stay in `stacktrace`.
    var stackTraceLimit = 10

    init() {}

    /// Reads the options of any BullMQ client; what is unknown or malformed counts as absent.
    ///
    /// Clients write `attempts: 0` when their user named none, so only 1 and more says something.
    init(parsing text: String) {
        guard let json = JSONText(parsing: text) else { return }
        attempts = json["attempts"]?.integer.flatMap { $0 > 0 ? $0 : nil }
        backoff = json["backoff"].flatMap { Backoff($0) }
        keepCompleted = json["removeOnComplete"].flatMap { Retention($0) }
        keepFailed = json["removeOnFail"].flatMap { Retention($0) }
        lifo = json["lifo"] == .bool(true)
        if let limit = json["stackTraceLimit"]?.integer { stackTraceLimit = max(0, limit) }
    }
}
