import Connectors
import Functions

extension ConnectedChannel {
    /// The channel that a webhook names.
    ///
    /// - Throws: ``Failure/notFound(_:)`` for an unknown, deleted or disabled one. One in `error` receives: only what it
    ///   sends is held back.
    static func receiving(_ id: Channel.ID, in context: HTTPContext) async throws -> ConnectedChannel {
        let channel = try await ChannelDirectory.shared(context.services).find(id)
        guard let channel, channel.status != "disabled" else { throw Failure.notFound("channel") }
        return channel
    }

    /// What a webhook tells of this channel.
    ///
    /// - Throws: 401 for a bad signature, 400 for what is not the channel's format.
    func events(in webhook: Webhook) throws(Failure) -> [InboundEvent] {
        do {
            return try Connectors.connector(for: kind.rawValue).events(in: webhook, for: ChannelAccount(self))
        } catch {
            throw refused(error)
        }
    }

    /// What to answer to a handshake, or `nil` to refuse it.
    func handshake(_ query: [(name: String, value: String)]) throws(Failure) -> HandshakeAnswer? {
        do {
            return try Connectors.connector(for: kind.rawValue).handshake(query, for: ChannelAccount(self))
        } catch {
            throw refused(error)
        }
    }

    /// What a provider is told.
    private func refused(_ fault: WebhookFault) -> Failure {
        switch fault {
        case .badSignature: .unauthorized("The signature is missing or wrong.")
        case .badFormat(let explanation): .unreadable("The body \(explanation).")
        case .badHandshake(let explanation): .unreadable("The query \(explanation).")
        }
    }
}
