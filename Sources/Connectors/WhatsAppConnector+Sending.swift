import Egress
import Foundation

/// `POST /{version}/{phoneNumberId}/messages` of the Cloud API.
extension WhatsAppConnector {
    /// Every status carries our id.
    package var unansweredSend: UnansweredSend { .await }

    /// A caption goes with pictures, videos and documents, up to 1024 characters.
    package func parts(of message: OutboundMessage) -> [OutboundMessage] {
        message.pieces {
            ["image", "video", "file"].contains($0.type) && message.text.unicodeScalars.count <= 1024
        }
    }

    package func send(
        _ message: OutboundMessage,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> SendReport {
        var body: [String: JSONValue] = [
            "messaging_product": "whatsapp", "recipient_type": "individual",
            "biz_opaque_callback_data": .string(message.reference),
        ]
        // Who hides their number has only the id by which the business knows them.
        if let phone = message.recipient.phone {
            body["to"] = .string(phone)
        } else if let id = message.recipient.externalId {
            body["recipient"] = .string(id)
        } else {
            return SendReport(.recipient(.noAddress("phone number")))
        }
        if let quoted = message.replyTo { body["context"] = ["message_id": .string(quoted)] }
        switch content(of: message) {
        case .success(let content): body.merge(content) { _, new in new }
        case .failure(let refusal): return SendReport(.message(refusal.fault))
        }
        let api = GraphAPI(providers: providers, token: account.credentials["accessToken"] ?? "")
        let number = account.credentials["phoneNumberId"] ?? ""
        do {
            let answer = try await api.post("\(number.percentEncoded)/messages", .object(body))
            return report(answer, message, api)
        } catch {
            return SendReport(SendResult(error))
        }
    }

    private func report(_ answer: ProviderAnswer, _ message: OutboundMessage, _ api: GraphAPI) -> SendReport {
        let isStrained = GraphAPI.isStrained(answer)
        if var refusal = api.refusal(answer, attempt: message.attempt, by: GraphFaults.whatsApp) {
            // A bad parameter of a template is bad in every message made of it; what was a recipient's own was looked at.
            if message.template != nil, case .message(let fault) = refusal,
                ["100", "131008", "131009", "131063"].contains(fault.code)
            {
                refusal = .template(fault)
            }
            return SendReport(refusal, isStrained: isStrained)
        }
        guard let id = answer.json?["messages"]?.elements.first?["id"]?.id else {
            let fault = SendFault("unreadable_answer", "The provider accepted the message without telling its id.")
            return SendReport(.unanswered(fault), isStrained: isStrained)
        }
        var report = SendReport(.accepted(externalId: id, isDelivered: false), isStrained: isStrained)
        let contact = answer.json?["contacts"]?.elements.first
        // Some countries' numbers have two spellings, and the person writes under the other one.
        if let number = contact?["wa_id"]?.id.flatMap({ MockConnector.normalised(phone: "+" + $0) }),
            number != message.recipient.phone
        {
            report.alias = Sender(phone: number)
        }
        return report
    }

    private struct Refusal: Error {
        let fault: SendFault
    }

    private func content(of message: OutboundMessage) -> Result<[String: JSONValue], Refusal> {
        if let template = message.template { return self.template(template) }
        guard let attachment = message.attachments.first else {
            return .success(["type": "text", "text": ["body": .string(message.text), "preview_url": false]])
        }
        let type = attachment.type == "file" ? "document" : attachment.type
        var media: [String: JSONValue] = ["link": .string(attachment.url ?? "")]
        if !message.text.isEmpty { media["caption"] = .string(message.text) }
        if type == "document", let name = attachment.name { media["filename"] = .string(name) }
        return .success(["type": .string(type), type: .object(media)])
    }

    private func template(_ bytes: [UInt8]) -> Result<[String: JSONValue], Refusal> {
        guard let given = JSONValue(body: bytes), let name = given["name"], let language = given["language"] else {
            return .failure(Refusal(fault: SendFault("template", "The message's template has no name or language.")))
        }
        var template: [String: JSONValue] = ["name": name, "language": ["code": language]]
        let components = given["components"]?.elements ?? []
        if !components.isEmpty { template["components"] = .array(components) }
        for text in components.flatMap({ $0["parameters"]?.elements ?? [] }).compactMap({ $0["text"]?.string }) {
            if text.contains(where: { $0.isNewline || $0 == "\t" }) || text.contains("     ") {
                let words = "A template's variable may hold no line break, no tab, and no more than 4 spaces in a row."
                return .failure(Refusal(fault: SendFault("template_variable", words)))
            }
        }
        return .success(["type": "template", "template": .object(template)])
    }
}

extension SendFault {
    static func noAddress(_ what: String) -> SendFault {
        SendFault("no_address", "The contact has no \(what) on this channel.")
    }

    static let windowClosed = SendFault(
        "window_closed",
        "The contact's last message is too old, or there is none: the channel takes no message to them now."
    )
}
