/// Which connector serves which kind of channel.
package enum Connectors {
    /// The connector for a channel's `type`.
    package static func connector(for kind: String) -> any Connector {
        switch kind {
        case "whatsapp": WhatsAppConnector()
        case "facebook": MessengerConnector(platform: .messenger)
        case "instagram": MessengerConnector(platform: .instagram)
        case "twitter": TwitterConnector()
        case "linkedin": LinkedInConnector()
        default: MockConnector()
        }
    }
}

/// A connector that takes in what its provider tells, and fails what is to be sent instead of holding it for a day that may
/// not come.
protocol ReceivingConnector: Connector {}

extension ReceivingConnector {
    package var unansweredSend: UnansweredSend { .fail }

    package func send(_ message: OutboundMessage, through account: ChannelAccount) async -> SendResult {
        .message(SendFault("connector_unavailable", "This kind of channel can't send yet."))
    }
}
