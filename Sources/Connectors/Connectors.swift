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
