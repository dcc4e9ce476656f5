import Foundation
import Security

/// Messenger and Instagram: two platforms of Meta with one form of events.
struct MessengerConnector: Connector {
    enum Platform: Sendable {
        case messenger, instagram

        /// The `object` of its webhooks.
        var object: String { self == .messenger ? "page" : "instagram" }
        var kind: String { self == .messenger ? "facebook" : "instagram" }
        /// The credential that names the account.
        var account: String { self == .messenger ? "pageId" : "accountId" }
    }

    let platform: Platform

    func handshake(
        _ query: [(name: String, value: String)],
        for account: ChannelAccount
    ) throws(WebhookFault) -> HandshakeAnswer? {
        Meta.handshake(query, account)
    }

    func events(in webhook: Webhook, for account: ChannelAccount) throws(WebhookFault) -> [InboundEvent] {
        let body = try Meta.body(of: webhook, for: account, object: platform.object, named: platform.kind)
        guard let us = account.credentials[platform.account] else { return [] }
        return (body["entry"]?.elements ?? []).flatMap { entry -> [InboundEvent] in
            // Comments, mentions and the dashboard's test come as `changes`, which are no direct messages.
            guard entry["id"]?.id == us else { return [] }
            return ((entry["messaging"]?.elements ?? []) + (entry["standby"]?.elements ?? [])).flatMap { element in
                event(element, us).map { $0.kept(in: alone(element, us)) }
            }
        }
    }

    /// A body that holds one event.
    private func alone(_ event: JSONValue, _ us: String) -> JSONValue {
        let entry: JSONValue = .object(["id": .string(us), "messaging": .array([event])])
        return .object(["object": .string(platform.object), "entry": .array([entry])])
    }

    private func event(_ event: JSONValue, _ us: String) -> [InboundEvent] {
        guard let sender = event["sender"]?["id"]?.id, let recipient = event["recipient"]?["id"]?.id else {
            let kinds = ["message", "postback", "reaction", "message_edit"]
            guard !event.isObject || kinds.contains(where: { event[$0] != nil }) else { return [] }
            return [.unreadable(event.kept(), reason: "an event without a sender or a recipient")]
        }
        // The account to itself, as it shows in another of its apps; and an account that isn't ours.
        guard sender != recipient, sender == us || recipient == us else { return [] }
        guard let id = (sender == us ? recipient : sender).asId() else {
            return [.unreadable(event.kept(), reason: "an event of a person whose id is too long")]
        }
        let person = Sender(externalId: id)
        let at = event["timestamp"]?.milliseconds
        if let message = event["message"] { return self.message(message, person, at, isOurs: sender == us) }
        guard sender != us else { return [] }
        if let postback = event["postback"] { return [.message(self.postback(postback, person, at, us))] }
        if let reaction = event["reaction"] { return [self.reaction(reaction, person, at)] }
        if let edit = event["message_edit"] { return self.edit(edit, person, at) }
        if let delivery = event["delivery"] { return reached(delivery, "delivered", person) }
        if let read = event["read"] { return reached(read, "read", person, at) }
        if let referral = event["referral"], referral.isObject {
            return [.change(InboundChange(.referral, person: person, at: at, metadata: referral.kept()))]
        }
        return []
    }

    // MARK: Messages

    private func message(_ message: JSONValue, _ person: Sender, _ at: Date?, isOurs: Bool) -> [InboundEvent] {
        guard let id = message["mid"]?.id else {
            return [.unreadable(message.kept(), reason: "a message without a mid")]
        }
        if message["is_deleted"]?.isTrue == true {
            return [.change(InboundChange(.unsend, externalId: id, person: person, at: at))]
        }
        var attachments = attachments(message["attachments"]?.elements ?? [])
        var metadata: [String: JSONValue] = [:]
        if let story = message["reply_to"]?["story"] {
            attachments.append(Attachment(type: "story", url: story["url"]?.string))
            metadata["story"] = story
        }
        for name in ["quick_reply", "referral"] {
            if let value = message[name], value.isObject { metadata[name] = value }
        }
        let text = message["text"]?.string ?? ""
        if text.isEmpty, attachments.isEmpty { attachments = [Attachment(type: "unsupported")] }
        let inbound = InboundMessage(
            externalId: id,
            sender: person,
            text: text,
            attachments: attachments,
            replyTo: message["reply_to"]?["mid"]?.id,
            sentAt: at,
            metadata: metadata.asMetadata
        )
        // A sender that is us without the mark is an echo all the same.
        guard isOurs || message["is_echo"]?.isTrue == true else { return [.message(inbound)] }
        return [.change(.echo(inbound, ours: Meta.ours(message["metadata"]?.string)))]
    }

    private func attachments(_ elements: [JSONValue]) -> [Attachment] {
        var attachments: [Attachment] = []
        // For a time the same sticker comes both as an image and as itself.
        let stickers = Set(
            elements.filter { $0["type"]?.string == "sticker" }.compactMap { $0["payload"]?["sticker_id"]?.id }
        )
        for element in elements {
            let payload = element["payload"]
            let sticker = payload?["sticker_id"]?.id
            if element["type"]?.string == "image", let sticker, stickers.contains(sticker) { continue }
            let url = payload?["url"]?.string ?? element["url"]?.string
            let title = payload?["title"]?.string ?? element["title"]?.string
            switch element["type"]?.string {
            case "image"?: attachments.append(Attachment(type: sticker == nil ? "image" : "sticker", url: url))
            case let type? where ["video", "audio", "file", "sticker"].contains(type):
                attachments.append(Attachment(type: type, url: url, name: title?.asFileName))
            case "story_mention"?: attachments.append(Attachment(type: "story", url: url))
            case "share"?, "ig_post"?, "reel"?, "ig_reel"?, "post"?:
                attachments.append(Attachment(type: "post", url: url, name: title))
            case "fallback"? where url != nil: attachments.append(Attachment(type: "link", url: url, name: title))
            case "location"?: attachments.append(location(payload, url, title))
            default: attachments.append(Attachment(type: "unsupported", url: url, name: title))
            }
        }
        return attachments
    }

    private func location(_ payload: JSONValue?, _ url: String?, _ title: String?) -> Attachment {
        var url = url
        if url == nil, let latitude = payload?["coordinates"]?["lat"], let longitude = payload?["coordinates"]?["long"]
        {
            url = "geo:\(latitude.text),\(longitude.text)"
        }
        return Attachment(type: "location", url: url, name: title)
    }

    /// Before version 11 a postback has no id of its own: what makes it one is made into one.
    private func postback(_ postback: JSONValue, _ person: Sender, _ at: Date?, _ us: String) -> InboundMessage {
        let parts = [us, person.externalId, at.map { "\($0.timeIntervalSince1970)" }, postback["payload"]?.string]
        let made = "postback:" + Hex.encode(SHA256.digest(parts.map { $0 ?? "" }.joined(separator: "\u{1F}")))
        let text = postback["title"]?.string ?? ""
        return InboundMessage(
            externalId: postback["mid"]?.id ?? made,
            sender: person,
            text: text,
            attachments: text.isEmpty ? [Attachment(type: "unsupported")] : [],
            sentAt: at,
            metadata: ["postback": postback].asMetadata
        )
    }

    // MARK: Changes

    private func reaction(_ reaction: JSONValue, _ person: Sender, _ at: Date?) -> InboundEvent {
        guard let id = reaction["mid"]?.id else { return .unreadable(reaction.kept(), reason: "a reaction to nothing") }
        let words = [
            "smile": "😆", "angry": "😠", "sad": "😢", "wow": "😮", "love": "❤️", "like": "👍", "dislike": "👎",
        ]
        var emoji: String?
        if reaction["action"]?.string != "unreact" {
            emoji = reaction["emoji"]?.string?.asId(64) ?? reaction["reaction"]?.string.flatMap { words[$0] }
        }
        return .change(InboundChange(.reaction, externalId: id, person: person, at: at, emoji: emoji))
    }

    private func edit(_ edit: JSONValue, _ person: Sender, _ at: Date?) -> [InboundEvent] {
        guard let id = edit["mid"]?.id else { return [.unreadable(edit.kept(), reason: "an edit of nothing")] }
        // Apps that aren't published are sent such a thing in place of the message.
        guard let text = edit["text"]?.string else { return [] }
        return [
            .change(
                InboundChange(
                    .edit,
                    externalId: id,
                    person: person,
                    at: at,
                    number: edit["num_edit"]?.integer ?? 1,
                    text: text
                )
            )
        ]
    }

    /// Receipts name messages, or a moment up to which everything has arrived, or both.
    private func reached(_ receipt: JSONValue, _ status: String, _ person: Sender, _ at: Date? = nil) -> [InboundEvent]
    {
        var events: [InboundEvent] = []
        let watermark = receipt["watermark"]?.milliseconds
        for id in (receipt["mids"]?.elements ?? []).compactMap(\.id) {
            events.append(
                .change(InboundChange(.status, externalId: id, person: person, at: watermark ?? at, status: status))
            )
        }
        if let watermark {
            events.append(.change(InboundChange(.reach, person: person, at: watermark, status: status)))
        }
        if let id = receipt["mid"]?.id {
            events.append(.change(InboundChange(.status, externalId: id, person: person, at: at, status: status)))
            events.append(.change(InboundChange(.reach, externalId: id, person: person, at: at, status: status)))
        }
        return events
    }
}
