import Foundation
import Security

/// How the providers sign their webhooks: HMAC-SHA256 over the bytes as they came, compared in constant time.
enum Signature {
    /// - Throws: ``WebhookFault/badSignature`` for anything but one header with the right digest.
    static func checkMeta(_ webhook: Webhook, secret: String?) throws(WebhookFault) {
        guard let secret, let header = webhook.header("x-hub-signature-256"), header.hasPrefix("sha256="),
            let digest = Hex.decode(header.dropFirst(7)), matches(digest, secret, webhook.body)
        else { throw .badSignature }
    }

    static func checkX(_ webhook: Webhook, secret: String?) throws(WebhookFault) {
        guard let secret, let header = webhook.header("x-twitter-webhooks-signature"), header.hasPrefix("sha256="),
            let digest = Base64.standard.decode(header.dropFirst(7)), matches(digest, secret, webhook.body)
        else { throw .badSignature }
    }

    /// The prefix is part of what is signed and not of the header; some send it there all the same.
    static func checkLinkedIn(_ webhook: Webhook, secret: String?) throws(WebhookFault) {
        let prefix = "hmacsha256="
        guard let secret, let header = webhook.header("x-li-signature"),
            let digest = Hex.decode(header.hasPrefix(prefix) ? header.dropFirst(prefix.count) : header[...]),
            matches(digest, secret, Array(prefix.utf8) + webhook.body)
        else { throw .badSignature }
    }

    private static func matches(_ digest: [UInt8], _ secret: String, _ message: [UInt8]) -> Bool {
        !secret.isEmpty && constantTimeEquals(digest, HMAC.sha256(key: Array(secret.utf8), message: message))
    }
}

/// What the three products of Meta have in common.
enum Meta {
    /// Their handshake: the challenge comes back to whoever knows the channel's token.
    static func handshake(_ query: [(name: String, value: String)], _ account: ChannelAccount) -> HandshakeAnswer? {
        func value(_ name: String) -> String? { query.first { $0.name == name }?.value }
        guard value("hub.mode") == "subscribe", let challenge = value("hub.challenge"),
            let token = value("hub.verify_token"), let expected = account.credentials["verifyToken"], !expected.isEmpty,
            // Digests, so that not even the length shows.
            constantTimeEquals(SHA256.digest(token), SHA256.digest(expected))
        else { return nil }
        return .text(challenge)
    }

    /// The body of a webhook for this kind of object.
    ///
    /// - Throws: ``WebhookFault`` for a bad signature, then for another format.
    static func body(
        of webhook: Webhook,
        for account: ChannelAccount,
        object: String,
        named kind: String
    ) throws(WebhookFault) -> JSONValue {
        try Signature.checkMeta(webhook, secret: account.credentials["appSecret"])
        guard let body = JSONValue(body: webhook.body) else { throw .badFormat("is no JSON object") }
        guard body["object"]?.string == object, case .array? = body["entry"] else {
            throw .badFormat("is not what a \(kind) channel is sent")
        }
        return body
    }

    /// Our message's id, and which part of it, in what we gave the provider to send back; see ``OutboundMessage/reference``.
    static func ours(_ text: String?) -> (id: UUID, part: OutboundMessage.Part)? {
        guard let text, text.hasPrefix("msg:") else { return nil }
        let pieces = text.dropFirst(4).split(separator: ":", omittingEmptySubsequences: false)
        guard let id = UUID(uuidString: String(pieces[0])) else { return nil }
        guard pieces.count > 1 else { return (id, OutboundMessage.Part(number: 1, count: 1)) }
        let numbers = pieces[1].split(separator: "/").compactMap { Int($0) }
        guard pieces.count == 2, numbers.count == 2, numbers[0] >= 1, numbers[0] <= numbers[1], numbers[1] <= 100 else {
            return nil
        }
        return (id, OutboundMessage.Part(number: numbers[0], count: numbers[1]))
    }
}
