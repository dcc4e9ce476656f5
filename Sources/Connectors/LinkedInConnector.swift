import Foundation
import Security

/// Comments on a company page's posts, and posts that mention it: LinkedIn has no inbox that could be read.
struct LinkedInConnector: Connector {
    func handshake(
        _ query: [(name: String, value: String)],
        for account: ChannelAccount
    ) throws(WebhookFault) -> HandshakeAnswer? {
        guard let code = query.first(where: { $0.name == "challengeCode" })?.value, !code.isEmpty else {
            throw .badHandshake("has no challengeCode")
        }
        guard let secret = account.credentials["clientSecret"], !secret.isEmpty else { return nil }
        return .object([
            ("challengeCode", code), ("challengeResponse", Hex.encode(HMAC.sha256(key: secret, message: code))),
        ])
    }

    func events(in webhook: Webhook, for account: ChannelAccount) throws(WebhookFault) -> [InboundEvent] {
        try Signature.checkLinkedIn(webhook, secret: account.credentials["clientSecret"])
        guard let body = JSONValue(body: webhook.body) else { throw .badFormat("is no JSON object") }
        guard let type = body["type"]?.string else { throw .badFormat("is not what a linkedin channel is sent") }
        guard type == "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", let us = account.credentials["organizationUrn"] else {
            return []
        }
        return (body["notifications"]?.elements ?? []).flatMap { element in
            notification(element, us).map {
                $0.kept(in: .object(["type": .string(type), "notifications": .array([element])]))
            }
        }
    }

    private func notification(_ notification: JSONValue, _ us: String) -> [InboundEvent] {
        guard notification.isObject else {
            return [.unreadable(notification.kept(), reason: "a notification that is no object")]
        }
        guard notification["organizationalEntity"]?.string == us else { return [] }
        let at = notification["lastModifiedAt"]?.milliseconds
        switch notification["action"]?.string {
        case "COMMENT", "ADMIN_COMMENT": return comment(notification, us, at)
        case "COMMENT_EDIT":
            guard let id = commentId(notification) else { return [missing(notification)] }
            guard let text = text(decorated(notification)?["text"]) else { return [] }
            return [
                .change(
                    InboundChange(
                        .edit,
                        externalId: id,
                        person: author(decorated(notification)),
                        at: at,
                        number: at.map { Int64($0.timeIntervalSince1970 * 1000) },
                        text: text
                    )
                )
            ]
        case "COMMENT_DELETE":
            guard let id = commentId(notification) else { return [missing(notification)] }
            return [.change(InboundChange(.unsend, externalId: id, at: at))]
        case "SHARE_MENTION": return mention(notification, at)
        default: return []
        }
    }

    private func missing(_ notification: JSONValue) -> InboundEvent {
        .unreadable(notification.kept(), reason: "a notification of a comment without its id")
    }

    private func decorated(_ notification: JSONValue) -> JSONValue? {
        notification["decoratedGeneratedActivity"]?["comment"]
    }

    /// One spelling of a comment's id: `urn:li:comment:(activity:A,C)` is seen as well.
    private func commentId(_ notification: JSONValue) -> String? {
        let id = decorated(notification)?["entity"]?.id ?? notification["generatedActivity"]?.id
        guard let id, id.hasPrefix("urn:li:comment:(") else { return nil }
        let inner = id.dropFirst("urn:li:comment:(".count)
        return inner.hasPrefix("urn:li:") ? id : "urn:li:comment:(urn:li:" + inner
    }

    private func text(_ value: JSONValue?) -> String? { value?.string ?? value?["text"]?.string }

    private func author(_ object: JSONValue?) -> Sender? {
        object?["owner"]?.id?.asId().map { Sender(externalId: $0, name: "LinkedIn member") }
    }

    private func comment(_ notification: JSONValue, _ us: String, _ at: Date?) -> [InboundEvent] {
        guard let id = commentId(notification) else { return [missing(notification)] }
        let comment = decorated(notification)
        // Whom our own comment answers is not told, so it has no conversation to be in; neither has one without its author.
        if notification["action"]?.string == "ADMIN_COMMENT" || comment?["owner"]?.string == us { return [] }
        guard let author = author(comment) else {
            return [.unreadable(notification.kept(), reason: "a comment without its author")]
        }
        let text = text(comment?["text"]) ?? ""
        return [
            .message(
                InboundMessage(
                    externalId: id,
                    sender: author,
                    text: text,
                    attachments: text.isEmpty ? [Attachment(type: "unsupported")] : [],
                    sentAt: at,
                    metadata: post(of: notification)
                )
            )
        ]
    }

    private func post(of notification: JSONValue) -> JSONValue? {
        var metadata: [String: JSONValue] = [:]
        for name in ["sourcePost", "decoratedSourcePost"] {
            if let value = notification[name] { metadata[name] = value }
        }
        // A comment on a comment: answers belong beside it, under the same one.
        if let parent = decorated(notification)?["object"]?.id, parent.hasPrefix("urn:li:comment:(") {
            metadata["parentComment"] = .string(parent)
        }
        return metadata.asMetadata
    }

    private func mention(_ notification: JSONValue, _ at: Date?) -> [InboundEvent] {
        let share = notification["decoratedGeneratedActivity"]?["share"]
        guard let id = share?["entity"]?.id ?? notification["generatedActivity"]?.id, let author = author(share) else {
            return [.unreadable(notification.kept(), reason: "a mention without its post or its author")]
        }
        return [
            .message(
                InboundMessage(
                    externalId: id,
                    sender: author,
                    text: text(share?["text"]) ?? "",
                    attachments: [Attachment(type: "post", url: "https://www.linkedin.com/feed/update/\(id)/")],
                    sentAt: at,
                    metadata: post(of: notification)
                )
            )
        ]
    }
}
