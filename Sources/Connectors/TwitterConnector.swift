import Foundation
import Security

/// Direct messages of X, by either of the two APIs that tell of them.
struct TwitterConnector: Connector {
    func handshake(
        _ query: [(name: String, value: String)],
        for account: ChannelAccount
    ) throws(WebhookFault) -> HandshakeAnswer? {
        guard let token = query.first(where: { $0.name == "crc_token" })?.value, !token.isEmpty else {
            throw .badHandshake("has no crc_token")
        }
        guard let secret = account.credentials["consumerSecret"], !secret.isEmpty else { return nil }
        let digest = Base64.standard.encode(HMAC.sha256(key: secret, message: token))
        return .object([("response_token", "sha256=" + digest)])
    }

    func events(in webhook: Webhook, for account: ChannelAccount) throws(WebhookFault) -> [InboundEvent] {
        try Signature.checkX(webhook, secret: account.credentials["consumerSecret"])
        guard let body = JSONValue(body: webhook.body) else { throw .badFormat("is no JSON object") }
        guard let us = account.credentials["userId"] else { return [] }
        if let activity = body["data"] {
            guard activity["filter"]?["user_id"]?.id == us, let payload = activity["payload"] else { return [] }
            if activity["event_type"]?.string?.hasPrefix("chat.") == true { return encrypted(payload, us) }
            return messages(payload, us)
        }
        if let revoke = body["user_event"]?["revoke"] {
            guard revoke["source"]?["user_id"]?.id == us else { return [] }
            return [.change(InboundChange(.revoked, text: "The account has taken our access away."))]
        }
        let others = ["for_user_id", "user_event", "replay_job_status"]
        guard others.contains(where: { body[$0] != nil }) || body["direct_message_events"] != nil else {
            throw .badFormat("is not what a twitter channel is sent")
        }
        guard body["for_user_id"]?.id == us else { return [] }
        return messages(body, us)
    }

    private func messages(_ body: JSONValue, _ us: String) -> [InboundEvent] {
        func each(_ list: String, _ read: (JSONValue) -> [InboundEvent]) -> [InboundEvent] {
            (body[list]?.elements ?? []).flatMap { element in
                read(element).map { $0.kept(in: alone(element, list, body["users"], us)) }
            }
        }
        return each("direct_message_events") { message($0, body["users"], us) }
            + each("direct_message_mark_read_events") { read($0, us) }
    }

    /// A body that holds one element of a list, with the people that it names.
    private func alone(_ element: JSONValue, _ list: String, _ users: JSONValue?, _ us: String) -> JSONValue {
        let create = element["message_create"]
        let ids = [create?["sender_id"]?.id, create?["target"]?["recipient_id"]?.id].compactMap { $0 }
        let people = ids.compactMap { id in users?[id].map { (id, $0) } }
        return .object([
            "for_user_id": .string(us), list: .array([element]),
            "users": .object(Dictionary(people, uniquingKeysWith: { first, _ in first })),
        ])
    }

    /// Both forms of users: `{id, name, screen_name}`, and `{data: {id, name, username}}`.
    private func person(_ id: String, _ users: JSONValue?) -> Sender {
        let user = users?[id]?["data"] ?? users?[id]
        return Sender(
            handle: (user?["screen_name"] ?? user?["username"])?.string?.asId(),
            externalId: id,
            name: user?["name"]?.string
        )
    }

    private func message(_ event: JSONValue, _ users: JSONValue?, _ us: String) -> [InboundEvent] {
        guard event["type"]?.string == "message_create" else {
            return event.isObject ? [] : [.unreadable(event.kept(), reason: "an event that is no object")]
        }
        let create = event["message_create"]
        guard let id = event["id"]?.id, let sender = create?["sender_id"]?.id?.asId() else {
            return [.unreadable(event.kept(), reason: "a message without an id or a sender")]
        }
        let data = create?["message_data"]
        let media = data?["attachment"]?["media"]
        var metadata: [String: JSONValue] = [:]
        if let reply = data?["quick_reply_response"] { metadata["quick_reply"] = reply }
        if let media { metadata["media"] = .array([media]) }
        var attachments = media.map { [attachment($0)] } ?? []
        let text = text(data, without: media?["url"]?.string)
        if text.isEmpty, attachments.isEmpty { attachments = [Attachment(type: "unsupported")] }
        let isOurs = sender == us
        guard let other = isOurs ? create?["target"]?["recipient_id"]?.id?.asId() : sender else {
            return [.unreadable(event.kept(), reason: "a message without a recipient")]
        }
        let message = InboundMessage(
            externalId: id,
            sender: person(other, users),
            text: text,
            attachments: attachments,
            sentAt: event["created_timestamp"]?.milliseconds,
            metadata: metadata.asMetadata
        )
        return isOurs ? [.change(.echo(message))] : [.message(message)]
    }

    /// Unescaped once; without the link to the attachment, which stands at its end.
    private func text(_ data: JSONValue?, without link: String?) -> String {
        var text = data?["text"]?.string ?? ""
        if let link, !link.isEmpty, text.hasSuffix(link) {
            text.removeLast(link.count)
            while text.last == " " { text.removeLast() }
        }
        return text.replacingOccurrences(of: "&lt;", with: "<").replacingOccurrences(of: "&gt;", with: ">")
            .replacingOccurrences(of: "&amp;", with: "&")
    }

    /// What is shown to the account alone is fetched by a worker, so its address is no link.
    private func attachment(_ media: JSONValue) -> Attachment {
        let variants = media["video_info"]?["variants"]?.elements ?? []
        let best = variants.filter { $0["content_type"]?.string == "video/mp4" }
            .max { ($0["bitrate"]?.integer ?? 0) < ($1["bitrate"]?.integer ?? 0) }
        switch media["type"]?.string {
        case "photo":
            let url = media["media_url_https"]?.string
            return Attachment(type: "image", url: url.map(Self.isPrivate) == true ? nil : url)
        case "animated_gif", "video": return Attachment(type: "video", url: best?["url"]?.string, mimeType: "video/mp4")
        default: return Attachment(type: "unsupported")
        }
    }

    /// Whether a file is shown to the account alone, by a request that its OAuth 1.0a token signed.
    static func isPrivate(_ url: String) -> Bool { url.hasPrefix("https://ton.twitter.com/") }

    /// Everything that we sent to the reader with an id up to this one is read.
    private func read(_ event: JSONValue, _ us: String) -> [InboundEvent] {
        guard let reader = event["sender_id"]?.id?.asId(), let last = event["last_read_event_id"]?.integer else {
            return [.unreadable(event.kept(), reason: "a read receipt without a reader or an id")]
        }
        guard reader != us else { return [] }
        let at = event["created_timestamp"]?.milliseconds
        let person = Sender(externalId: reader)
        return [
            .change(InboundChange(.status, externalId: String(last), person: person, at: at, status: "read")),
            .change(InboundChange(.reach, person: person, at: at, status: "read", number: last)),
        ]
    }

    /// X Chat is encrypted from end to end: that something came is all that can be seen.
    private func encrypted(_ payload: JSONValue, _ us: String) -> [InboundEvent] {
        guard let id = payload["id"]?.id, let sender = payload["sender_id"]?.id?.asId() else {
            return [.unreadable(payload.kept(), reason: "a message without an id or a sender")]
        }
        // Whom our own one went to is part of the conversation's id only.
        let people = payload["conversation_id"]?.string?.split(separator: ":").map(String.init) ?? []
        let isOurs = sender == us
        guard let other = isOurs ? people.first(where: { $0 != us })?.asId() : sender else { return [] }
        let message = InboundMessage(
            externalId: id,
            sender: Sender(externalId: other),
            text: "",
            attachments: [Attachment(type: "unsupported", name: "encrypted, open it in X")],
            sentAt: payload["created_at_msec"]?.milliseconds
        )
        return isOurs ? [.change(.echo(message))] : [.message(message)]
    }
}
