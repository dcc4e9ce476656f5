import Security

extension InboundEvent {
    /// The same; what couldn't be read stands in a body of its own, so that it can be read again when the code has learnt to.
    func kept(in body: @autoclosure () -> JSONValue) -> InboundEvent {
        guard case .unreadable(_, let reason) = self else { return self }
        // An element of 16 levels, and what is around it.
        return .unreadable(body().kept(depth: 24), reason: reason)
    }
}

extension Webhook {
    /// A body that was kept, as the provider of this kind would send it; `nil` where the account can't prove anything.
    package static func replaying(_ body: [UInt8], kind: String, for account: ChannelAccount) -> Webhook? {
        func digest(_ name: String, _ message: [UInt8]) -> [UInt8]? {
            account.credentials[name].map { HMAC.sha256(key: Array($0.utf8), message: message) }
        }
        let header: (name: String, value: String)?
        switch kind {
        case "whatsapp", "facebook", "instagram":
            header = digest("appSecret", body).map { ("x-hub-signature-256", "sha256=" + Hex.encode($0)) }
        case "twitter":
            header = digest("consumerSecret", body).map {
                ("x-twitter-webhooks-signature", "sha256=" + Base64.standard.encode($0))
            }
        case "linkedin":
            header = digest("clientSecret", Array("hmacsha256=".utf8) + body).map { ("x-li-signature", Hex.encode($0)) }
        default: return Webhook(headers: [], body: body)
        }
        return header.map { Webhook(headers: [$0], body: body) }
    }
}
