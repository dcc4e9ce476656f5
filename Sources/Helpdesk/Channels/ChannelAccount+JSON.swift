import Connectors
import Functions

extension ChannelAccount {
    /// Of the text of the settings' JSON object and of opened credentials.
    init(_ channel: Channel.ID, settings: String, credentials: JSON) {
        self.init(
            channel: channel.uuid,
            settings: Array(settings.utf8),
            credentials: Dictionary(
                (credentials.members ?? []).compactMap { member in member.value.string.map { (member.name, $0) } },
                uniquingKeysWith: { _, last in last }
            )
        )
    }

    init(_ channel: ConnectedChannel) {
        self.init(channel.id, settings: channel.settings.text, credentials: channel.credentials)
    }
}
