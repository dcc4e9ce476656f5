/// Which connector serves which kind of channel.
package enum Connectors {
    /// The connector for a channel's `type`.
    package static func connector(for kind: String) -> any Connector {
        switch kind {
        case "mock": MockConnector()
        default: AwaitedConnector()
        }
    }
}

/// Stands for the kinds whose connectors are still to come: refuses webhooks, and fails what is sent instead of holding it
/// for a day that may not come.
struct AwaitedConnector: Connector {
    let unansweredSend = UnansweredSend.fail

    func handshake(
        _ query: [(name: String, value: String)],
        for account: ChannelAccount
    ) throws(WebhookFault) -> String? {
        throw .unavailable
    }

    func events(in webhook: Webhook, for account: ChannelAccount) throws(WebhookFault) -> [InboundEvent] {
        throw .unavailable
    }

    func send(_ message: OutboundMessage, through account: ChannelAccount) async -> SendResult {
        .message(SendFault("connector_unavailable", "This kind of channel can't send yet."))
    }
}
