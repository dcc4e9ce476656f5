import Foundation

/// A channel without a provider behind it, for demonstrations and tests.
///
/// Receives one message per webhook in the plain form `{senderPhone, senderHandle, senderName, message, messageId,
/// metadata}`; `message` (which may be empty), `messageId` and one of the senders must be there, unknown members are ignored,
/// nothing is signed. What a send comes to is the channel's setting `outcome`:
/// `"ok"`, `"recipient"`, `"channel"` or `{"retry": n}`, which asks `n` times to try each message again.
struct MockConnector: Connector {
    /// Its id for a message follows from ours, so sending one again changes nothing.
    let unansweredSend = UnansweredSend.resend

    /// Whoever asks is answered: nobody subscribes a mock, so there is nothing to prove.
    func handshake(
        _ query: [(name: String, value: String)],
        for account: ChannelAccount
    ) throws(WebhookFault) -> HandshakeAnswer? {
        .text("")
    }

    func events(in webhook: Webhook, for account: ChannelAccount) throws(WebhookFault) -> [InboundEvent] {
        guard let body = JSONValue(body: webhook.body) else {
            throw .badFormat("is not the JSON object of a mock channel")
        }
        let form = try Form(body)
        let sender = try sender(of: form)
        guard let externalId = form.messageId?.withoutNull, !externalId.isEmpty else {
            throw .badFormat("has no messageId")
        }
        guard externalId.utf8.count <= 1024 else { throw .badFormat("has a messageId of more than 1024 bytes") }
        guard let text = form.message?.withoutNull else { throw .badFormat("has no message") }
        if let metadata = form.metadata, !metadata.isObject { throw .badFormat("has metadata that is no object") }
        return [
            .message(
                InboundMessage(
                    externalId: externalId,
                    sender: sender,
                    text: text,
                    // The agent must see that something came.
                    attachments: text.isEmpty ? [Attachment(type: "unsupported")] : [],
                    metadata: form.metadata?.storable
                )
            )
        ]
    }

    func send(
        _ message: OutboundMessage,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> SendReport {
        SendReport(result(of: message, through: account))
    }

    private func result(of message: OutboundMessage, through account: ChannelAccount) -> SendResult {
        switch outcome(in: account.settings) {
        case .retry(let times) where message.attempt <= times:
            .retry(after: nil, SendFault("mock_retry", "The mock channel is set to accept a later attempt."))
        case .ok, .retry:
            .accepted(externalId: "mock-\(message.id.uuidString.lowercased())", isDelivered: true)
        case .recipient:
            .recipient(SendFault("mock_recipient", "The mock channel is set to refuse every recipient."))
        case .channel:
            .channel(SendFault("mock_channel", "The mock channel is set to be out of order."))
        }
    }

    private struct Form {
        let senderPhone: String?
        let senderHandle: String?
        let senderName: String?
        let message: String?
        let messageId: String?
        let metadata: JSONValue?

        init(_ body: JSONValue) throws(WebhookFault) {
            func text(_ name: String) throws(WebhookFault) -> String? {
                guard let value = body[name] else { return nil }
                guard case .string(let text) = value else { throw .badFormat("has a \(name) of another type") }
                return text
            }
            (senderPhone, senderHandle) = (try text("senderPhone"), try text("senderHandle"))
            (senderName, message) = (try text("senderName"), try text("message"))
            (messageId, metadata) = (try text("messageId"), body["metadata"])
        }
    }

    private enum Outcome {
        case ok, recipient, channel
        case retry(Int)
    }

    private func sender(of form: Form) throws(WebhookFault) -> Sender {
        var sender = Sender(name: form.senderName?.withoutNull)
        if let phone = form.senderPhone, !phone.isEmpty {
            guard let normalised = Self.normalised(phone: phone) else {
                throw .badFormat("has a senderPhone that is no phone number")
            }
            sender.phone = normalised
        }
        if let handle = form.senderHandle?.withoutNull, !handle.isEmpty {
            guard handle.utf8.count <= 512 else { throw .badFormat("has a senderHandle of more than 512 bytes") }
            sender.handle = handle
        }
        guard sender.phone != nil || sender.handle != nil else {
            throw .badFormat("has neither senderPhone nor senderHandle")
        }
        return sender
    }

    /// `+` and 7…15 digits, without spaces, dots, dashes and brackets; a leading `00` is a `+`.
    static func normalised(phone: String) -> String? {
        var digits = String(
            String.UnicodeScalarView(phone.unicodeScalars.filter { !" .-()[]\u{A0}".unicodeScalars.contains($0) })
        )
        if digits.hasPrefix("00") { digits = "+" + digits.dropFirst(2) }
        let number = digits.dropFirst().utf8
        guard digits.hasPrefix("+"), (7...15).contains(number.count), number.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return digits
    }

    private func outcome(in settings: [UInt8]) -> Outcome {
        // Settings are checked when they are set; what can't be read is as good as none.
        switch JSONValue(body: settings)?["outcome"] {
        case .string("recipient"): return .recipient
        case .string("channel"): return .channel
        case .object(let members):
            guard case .integer(let times)? = members["retry"] else { return .ok }
            return .retry(Int(clamping: times))
        default: return .ok
        }
    }
}
