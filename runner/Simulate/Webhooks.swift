import Foundation
import Functions
import Security

/// A message that a customer writes.
struct SaidMessage: Sendable {
    let id: String
    let text: String
    let from: String
    let name: String?
    /// Where the picture is that comes along.
    let picture: String?
    let at: Date
}

/// A message that the product has sent.
struct SentMessage: Sendable {
    let id: String
    let text: String
    let to: String
    /// What the product wants to hear again.
    let memo: String?
    let at: Date
}

/// The webhooks of each provider, as they are posted.
extension Provider {
    /// The headers and bytes of a body, signed.
    func signed(_ body: JSON) -> (bytes: [UInt8], header: (name: String, value: String)) {
        let key = Array(Self.secret.utf8)
        switch self {
        case .whatsapp, .facebook, .instagram:
            let bytes = Array(Self.escaped(body.text).utf8)
            return (bytes, ("X-Hub-Signature-256", "sha256=" + Hex.encode(HMAC.sha256(key: key, message: bytes))))
        case .twitter:
            let bytes = Array(body.text.utf8)
            let digest = Base64.standard.encode(HMAC.sha256(key: key, message: bytes))
            return (bytes, ("x-twitter-webhooks-signature", "sha256=" + digest))
        case .linkedin:
            let bytes = Array(body.text.utf8)
            let digest = HMAC.sha256(key: key, message: Array("hmacsha256=".utf8) + bytes)
            return (bytes, ("X-LI-Signature", Hex.encode(digest)))
        }
    }

    /// JSON text as Meta writes it: nothing but ASCII, and slashes escaped.
    static func escaped(_ text: String) -> String {
        var escaped = ""
        for unit in text.utf16 {
            switch unit {
            case 0x2F: escaped += "\\/"
            case 0x80...:
                let digits = String(unit, radix: 16)
                escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: escaped.unicodeScalars.append(Unicode.Scalar(UInt8(truncatingIfNeeded: unit)))
            }
        }
        return escaped
    }

    /// What tells of a customer's message.
    func body(_ said: SaidMessage) -> JSON {
        switch self {
        case .whatsapp:
            var message: [JSON.Member] = [
                .init("from", .string(said.from)), .init("id", .string(said.id)),
                .init("timestamp", .string(Self.seconds(said.at))),
            ]
            if said.picture != nil {
                let image: JSON = [
                    "caption": .string(said.text), "mime_type": "image/png",
                    "sha256": .string(Base64.standard.encode(SHA256.digest(Picture.bytes))),
                    "id": .string(Picture.id(of: said.id)),
                ]
                message += [.init("type", "image"), .init("image", image)]
            } else {
                message += [.init("type", "text"), .init("text", ["body": .string(said.text)])]
            }
            let profile: JSON = ["name": .string(said.name ?? said.from)]
            return whatsApp([
                .init("contacts", [["profile": profile, "wa_id": .string(said.from)]]),
                .init("messages", [.object(message)]),
            ])
        case .facebook, .instagram:
            var message: [JSON.Member] = [.init("mid", .string(said.id))]
            if !said.text.isEmpty { message.append(.init("text", .string(said.text))) }
            if let picture = said.picture {
                message.append(.init("attachments", [["type": "image", "payload": ["url": .string(picture)]]]))
            }
            return event(from: said.from, to: account, at: said.at, [.init("message", .object(message))])
        case .twitter:
            return directMessage(said.id, from: said.from, to: account, said.text, said.at, said.name, said.picture)
        case .linkedin:
            return notification("COMMENT", said.id, owner: said.from, said.text, said.at)
        }
    }

    /// What tells, in this order, of what became of a sent message.
    func bodies(_ sent: SentMessage) -> [JSON] {
        switch self {
        case .whatsapp:
            return ["sent", "delivered", "read"].enumerated().map { place, word in
                var status: [JSON.Member] = [
                    .init("id", .string(sent.id)), .init("status", .string(word)),
                    .init("timestamp", .string(Self.seconds(sent.at.addingTimeInterval(Double(place))))),
                    .init("recipient_id", .string(sent.to)),
                ]
                if let memo = sent.memo { status.append(.init("biz_opaque_callback_data", .string(memo))) }
                return whatsApp([.init("statuses", [.object(status)])])
            }
        case .facebook:
            var echo: [JSON.Member] = [.init("is_echo", true), .init("mid", .string(sent.id))]
            if let memo = sent.memo { echo.append(.init("metadata", .string(memo))) }
            echo.append(.init("text", .string(sent.text)))
            let mark = JSON.number(Self.milliseconds(sent.at))
            return [
                event(from: account, to: sent.to, at: sent.at, [.init("message", .object(echo))]),
                event(
                    from: sent.to,
                    to: account,
                    at: nil,
                    [.init("delivery", ["mids": [.string(sent.id)], "watermark": mark])]
                ),
                event(from: sent.to, to: account, at: sent.at, [.init("read", ["watermark": mark])]),
            ]
        case .instagram:
            let echo: JSON = ["mid": .string(sent.id), "text": .string(sent.text), "is_echo": true]
            return [
                event(from: account, to: sent.to, at: sent.at, [.init("message", echo)]),
                event(from: sent.to, to: account, at: sent.at, [.init("read", ["mid": .string(sent.id)])]),
            ]
        case .twitter:
            let read: JSON = [
                "created_timestamp": .string(Self.milliseconds(sent.at)), "sender_id": .string(sent.to),
                "target": ["recipient_id": .string(account)], "last_read_event_id": .string(sent.id),
            ]
            return [
                directMessage(sent.id, from: account, to: sent.to, sent.text, sent.at, nil, nil),
                ["for_user_id": .string(account), "direct_message_mark_read_events": [read]],
            ]
        case .linkedin:
            return [notification("ADMIN_COMMENT", sent.id, owner: account, sent.text, sent.at)]
        }
    }

    private static func seconds(_ date: Date) -> String { String(Int(date.timeIntervalSince1970)) }
    private static func milliseconds(_ date: Date) -> String { String(Int(date.timeIntervalSince1970 * 1000)) }

    private func whatsApp(_ members: [JSON.Member]) -> JSON {
        let value: [JSON.Member] =
            [
                .init("messaging_product", "whatsapp"),
                .init("metadata", ["display_phone_number": "15550001111", "phone_number_id": .string(account)]),
            ] + members
        return [
            "object": "whatsapp_business_account",
            "entry": [["id": .string(Self.business), "changes": [["value": .object(value), "field": "messages"]]]],
        ]
    }

    private func event(from: String, to: String, at: Date?, _ members: [JSON.Member]) -> JSON {
        var event: [JSON.Member] = [
            .init("sender", ["id": .string(from)]), .init("recipient", ["id": .string(to)]),
        ]
        if let at { event.append(.init("timestamp", .number(Self.milliseconds(at)))) }
        let entry: JSON = [
            "id": .string(account), "time": .number(Self.milliseconds(Date())),
            "messaging": [.object(event + members)],
        ]
        return ["object": self == .facebook ? "page" : "instagram", "entry": [entry]]
    }

    private func directMessage(
        _ id: String,
        from: String,
        to: String,
        _ text: String,
        _ at: Date,
        _ name: String?,
        _ picture: String?
    ) -> JSON {
        let escaped = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
        var data: [JSON.Member] = [.init("text", .string(escaped))]
        if let picture {
            let media: JSON = ["id_str": .string(id), "type": "photo", "media_url_https": .string(picture)]
            data.append(.init("attachment", ["type": "media", "media": media]))
        }
        let message: JSON = [
            "type": "message_create", "id": .string(id), "created_timestamp": .string(Self.milliseconds(at)),
            "message_create": [
                "target": ["recipient_id": .string(to)], "sender_id": .string(from), "message_data": .object(data),
            ],
        ]
        let people = [from, to].map { person in
            JSON.Member(
                person,
                [
                    "id": .string(person), "name": .string(person == account ? "Acme" : name ?? "Customer \(person)"),
                    "screen_name": .string("user\(person)"),
                ]
            )
        }
        return [
            "for_user_id": .string(account), "direct_message_events": [message], "users": .object(people),
        ]
    }

    private func notification(_ action: String, _ id: String, owner: String, _ text: String, _ at: Date) -> JSON {
        let comment: JSON = [
            "entity": .string(id), "owner": .string(owner), "text": .string(text), "object": .string(Self.post),
        ]
        let notification: JSON = [
            "notificationId": .number(Self.milliseconds(Date())), "organizationalEntity": .string(account),
            "action": .string(action), "sourcePost": .string(Self.post),
            "lastModifiedAt": .number(Self.milliseconds(at)), "generatedActivity": .string(id),
            "decoratedGeneratedActivity": ["comment": comment],
        ]
        return ["type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", "notifications": [notification]]
    }
}

/// The one picture that simulated customers send: a dot.
enum Picture {
    static let bytes: [UInt8] =
        Base64.standard.decode(
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
        ) ?? []

    private static let mark = "picture-"

    /// What WhatsApp calls it.
    static func id(of message: String) -> String { mark + Hex.encode(SHA256.digest(message).prefix(8)) }

    static func isId(_ text: String) -> Bool { text.hasPrefix(mark) }
}
