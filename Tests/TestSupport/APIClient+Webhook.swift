extension APIClient {
    /// Posts a customer's message to a mock channel, as a provider would.
    package func webhook(_ channel: String, from phone: String, _ text: String, id: String) async throws -> Answer {
        try await post(
            "/webhook/\(channel)",
            ["senderPhone": phone, "senderName": "Customer \(phone)", "message": text, "messageId": id]
        )
    }

    /// Posts a customer's message as a provider does: again and again with the same id, until it was taken in.
    ///
    /// - Returns: how often it had to be posted.
    /// - Throws: ``UnexpectedAnswer`` for an answer that trying again would not change, ``NeverHappened`` after a minute.
    package func persistentWebhook(
        _ channel: String,
        from phone: String,
        _ text: String,
        id: String
    ) async throws -> Int {
        let end = ContinuousClock.now + .seconds(60)
        var attempts = 0
        while ContinuousClock.now < end {
            attempts += 1
            // A connection that fails tells nothing, here or behind the gateway (502): the message may be in the queue or not.
            let answer = try? await webhook(channel, from: phone, text, id: id)
            switch answer?.status {
            case 200: return attempts
            case nil, 502, 503: try await Task.sleep(for: .milliseconds(50))
            default: throw answer.map(UnexpectedAnswer.init) ?? NeverHappened()
            }
        }
        throw NeverHappened()
    }
}
