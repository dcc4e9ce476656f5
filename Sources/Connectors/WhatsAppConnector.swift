import Foundation

/// WhatsApp Cloud API: one number of a business account.
struct WhatsAppConnector: Connector {
    func handshake(
        _ query: [(name: String, value: String)],
        for account: ChannelAccount
    ) throws(WebhookFault) -> HandshakeAnswer? {
        Meta.handshake(query, account)
    }

    func events(in webhook: Webhook, for account: ChannelAccount) throws(WebhookFault) -> [InboundEvent] {
        let body = try Meta.body(of: webhook, for: account, object: "whatsapp_business_account", named: "whatsapp")
        return (body["entry"]?.elements ?? []).flatMap { $0["changes"]?.elements ?? [] }.flatMap { change in
            guard let value = change["value"],
                let number = account.credentials["phoneNumberId"],
                // Another number of the account has a channel of its own. What concerns the whole account has no number,
                // and nothing for a ticket.
                value["metadata"]?["phone_number_id"]?.id == number
            else { return [InboundEvent]() }
            func each(_ list: String, _ read: (JSONValue) -> [InboundEvent]) -> [InboundEvent] {
                (value[list]?.elements ?? []).flatMap { element in
                    read(element).map { $0.kept(in: alone(element, list, change, value)) }
                }
            }
            switch change["field"]?.string {
            case "messages":
                let names = names(in: value)
                return each("messages") { message($0, names) } + each("statuses", status)
            case "smb_message_echoes": return each("message_echoes", echo)
            case "user_preferences": return each("user_preferences") { preference($0).map { [$0] } ?? [] }
            default: return []
            }
        }
    }

    /// A body that holds one element of a list, with what is said of its sender.
    private func alone(_ element: JSONValue, _ list: String, _ change: JSONValue, _ value: JSONValue) -> JSONValue {
        let ids = [element["from"]?.id, element["from_user_id"]?.id].compactMap { $0 }
        let contacts = (value["contacts"]?.elements ?? []).filter { contact in
            [contact["wa_id"]?.id, contact["user_id"]?.id].contains { $0.map(ids.contains) == true }
        }
        let part: JSONValue = .object([
            "metadata": value["metadata"] ?? .null, "contacts": .array(contacts), list: .array([element]),
        ])
        let changes: JSONValue = .array([.object(["field": change["field"] ?? .null, "value": part])])
        return .object([
            "object": .string("whatsapp_business_account"), "entry": .array([.object(["changes": changes])]),
        ])
    }

    // MARK: People

    private typealias Names = [String: (name: String?, username: String?, userId: String?)]

    /// What the value says of its senders, by each of their ids: never by position.
    private func names(in value: JSONValue) -> Names {
        var names: Names = [:]
        for contact in value["contacts"]?.elements ?? [] {
            let entry = (
                name: contact["profile"]?["name"]?.string, username: contact["profile"]?["username"]?.string,
                userId: contact["user_id"]?.id
            )
            for id in [contact["wa_id"]?.id, contact["user_id"]?.id].compactMap({ $0 }) { names[id] = entry }
        }
        return names
    }

    /// A person by number and by the id that the business knows them by; either may be missing.
    private func person(number: String?, user: String?, _ names: Names = [:]) -> Sender? {
        let known = number.flatMap { names[$0] } ?? user.flatMap { names[$0] }
        let phone = number.flatMap { MockConnector.normalised(phone: $0.hasPrefix("+") ? $0 : "+" + $0) }
        let external = user ?? known?.userId ?? (phone == nil ? number : nil)
        let person = Sender(
            phone: phone,
            handle: known?.username?.asId(),
            externalId: external?.asId(),
            name: known?.name
        )
        return person.isKnown ? person : nil
    }

    // MARK: Messages

    private func message(_ message: JSONValue, _ names: Names) -> [InboundEvent] {
        let person = person(number: message["from"]?.id, user: message["from_user_id"]?.id, names)
        guard let id = message["id"]?.id else {
            return [.unreadable(message.kept(), reason: "a message without an id")]
        }
        guard let person else { return [.unreadable(message.kept(), reason: "a message without a sender")] }
        let at = message["timestamp"]?.seconds
        switch message["type"]?.string {
        case "reaction":
            guard let target = message["reaction"]?["message_id"]?.id else {
                return [.unreadable(message.kept(), reason: "a reaction to nothing")]
            }
            let emoji = message["reaction"]?["emoji"]?.string?.asId(64)
            return [.change(InboundChange(.reaction, externalId: target, person: person, at: at, emoji: emoji))]
        case "system":
            return identity(message, person, at)
        case "edit":
            guard let target = message["edit"]?["original_message_id"]?.id, let new = message["edit"]?["message"],
                new.isObject
            else { return [.unreadable(message.kept(), reason: "an edit of nothing")] }
            return [
                .change(
                    InboundChange(
                        .edit,
                        externalId: target,
                        person: person,
                        at: at,
                        number: at.map { Int64($0.timeIntervalSince1970) },
                        text: content(of: new).text
                    )
                )
            ]
        case "revoke":
            guard let target = message["revoke"]?["original_message_id"]?.id else {
                return [.unreadable(message.kept(), reason: "a revocation of nothing")]
            }
            return [.change(InboundChange(.unsend, externalId: target, person: person, at: at))]
        default:
            return [.message(inbound(message, id, person, at))]
        }
    }

    private func inbound(_ message: JSONValue, _ id: String, _ person: Sender, _ at: Date?) -> InboundMessage {
        var content = content(of: message)
        if content.text.isEmpty, content.attachments.isEmpty { content.attachments = [Attachment(type: "unsupported")] }
        if let referral = message["referral"], referral.isObject { content.metadata["referral"] = referral }
        if let context = message["context"] {
            for mark in ["forwarded", "frequently_forwarded", "referred_product"] {
                if let value = context[mark] { content.metadata[mark] = value }
            }
        }
        return InboundMessage(
            externalId: id,
            sender: person,
            text: content.text,
            attachments: content.attachments,
            replyTo: message["context"]?["id"]?.id,
            sentAt: at,
            metadata: content.metadata.asMetadata
        )
    }

    private struct Content {
        var text = ""
        var attachments: [Attachment] = []
        var metadata: [String: JSONValue] = [:]
    }

    /// What a message says, by its type; empty for a type that is not known.
    private func content(of message: JSONValue) -> Content {
        guard let type = message["type"]?.string, let part = message[type] else { return Content() }
        switch type {
        case "text": return Content(text: part["body"]?.string ?? "")
        case "image", "video": return media(part, type)
        case "audio": return media(part, type)
        case "document": return media(part, "file")
        case "sticker": return media(part, type)
        case "location": return location(part)
        case "contacts": return Content(attachments: part.elements.map(card), metadata: ["contacts": part])
        case "interactive": return interactive(part)
        case "button": return Content(text: part["text"]?.string ?? "", metadata: ["button": part])
        case "order": return order(part)
        default: return Content()
        }
    }

    /// What a worker needs to fetch a file stays with the message; its address would be no use to anybody else.
    private func media(_ part: JSONValue, _ kind: String) -> Content {
        let attachment = Attachment(
            type: kind,
            mimeType: part["mime_type"]?.string,
            name: part["filename"]?.string?.asFileName
        )
        return Content(
            text: part["caption"]?.string ?? "",
            attachments: [attachment],
            metadata: ["media": .array([part])]
        )
    }

    private func location(_ part: JSONValue) -> Content {
        func degrees(_ name: String) -> String? {
            switch part[name] {
            case .number(let value)?: "\(value)"
            case .integer(let value)?: "\(value)"
            default: nil
            }
        }
        let names = [part["name"]?.string, part["address"]?.string].compactMap { $0 }.filter { !$0.isEmpty }
        var url = part["url"]?.string
        if url == nil, let latitude = degrees("latitude"), let longitude = degrees("longitude") {
            url = "geo:\(latitude),\(longitude)"
        }
        let name = names.isEmpty ? nil : names.joined(separator: ", ")
        return Content(
            attachments: [Attachment(type: "location", url: url, name: name)],
            metadata: ["location": part]
        )
    }

    private func card(_ card: JSONValue) -> Attachment {
        let number = (card["phones"]?.elements ?? []).lazy.compactMap { $0["phone"]?.string }.first
        return Attachment(
            type: "contact",
            url: number.flatMap { MockConnector.normalised(phone: $0) }.map { "tel:" + $0 },
            name: card["name"]?["formatted_name"]?.string
        )
    }

    private func interactive(_ part: JSONValue) -> Content {
        let answer = part["button_reply"] ?? part["list_reply"] ?? part["nfm_reply"]
        let text = answer?["title"]?.string ?? answer?["body"]?.string ?? ""
        return Content(text: text, metadata: ["interactive": part])
    }

    private func order(_ part: JSONValue) -> Content {
        let items = (part["product_items"]?.elements ?? []).compactMap { item -> String? in
            guard let product = item["product_retailer_id"]?.id else { return nil }
            return "\(item["quantity"]?.id ?? "1") × \(product)"
        }
        return Content(
            text: part["text"]?.string ?? "",
            attachments: [Attachment(type: "unsupported", name: (["order"] + items).joined(separator: ", "))],
            metadata: ["order": part]
        )
    }

    // MARK: Changes

    private func identity(_ message: JSONValue, _ person: Sender, _ at: Date?) -> [InboundEvent] {
        let system = message["system"]
        guard ["user_changed_number", "user_changed_user_id"].contains(system?["type"]?.string),
            let successor = self.person(number: system?["wa_id"]?.id, user: system?["user_id"]?.id)
        else { return [] }
        return [.change(InboundChange(.identity, person: person, successor: successor, at: at))]
    }

    private func status(_ status: JSONValue) -> [InboundEvent] {
        guard let id = status["id"]?.id else { return [.unreadable(status.kept(), reason: "a status without an id")] }
        let words = ["sent": "sent", "delivered": "delivered", "read": "read", "played": "read", "failed": "failed"]
        guard let word = status["status"]?.string.flatMap({ words[$0] }) else { return [] }
        let error = status["errors"]?.elements.first
        let fault = SendFault(
            error?["code"]?.id ?? "failed",
            error?["error_data"]?["details"]?.string ?? error?["message"]?.string ?? error?["title"]?.string
                ?? "The message was not delivered."
        )
        let ours = Meta.ours(status["biz_opaque_callback_data"]?.string)
        var change = InboundChange(
            .status,
            externalId: id,
            messageId: ours?.id,
            at: status["timestamp"]?.seconds,
            status: word,
            fault: word == "failed" ? fault : nil
        )
        if let part = ours?.part, part.count > 1 { change.part = part }
        guard word == "failed", let code = error?["code"]?.integer else { return [.change(change)] }
        // Most refusals come here and not in the answer to the send, and mean the same.
        switch GraphFaults.whatsApp(code: code, subcode: nil, status: 400) {
        case .template, .strangers: change.haltsCampaign = true
        case .channel: return [.change(change), .change(InboundChange(.revoked, text: fault.message))]
        default: break
        }
        return [.change(change)]
    }

    /// What was written in the phone's own app.
    private func echo(_ message: JSONValue) -> [InboundEvent] {
        guard let id = message["id"]?.id,
            let person = person(number: message["to"]?.id, user: message["to_user_id"]?.id)
        else { return [.unreadable(message.kept(), reason: "an echo without an id or a recipient")] }
        if ["reaction", "edit", "revoke", "system"].contains(message["type"]?.string) { return [] }
        return [.change(.echo(inbound(message, id, person, message["timestamp"]?.seconds)))]
    }

    private func preference(_ preference: JSONValue) -> InboundEvent? {
        guard preference["category"]?.string == "marketing_messages",
            let isOptOut = ["stop": true, "resume": false, "signup": false][preference["value"]?.string ?? ""]
        else { return nil }
        guard let person = person(number: preference["wa_id"]?.id, user: preference["user_id"]?.id) else {
            return .unreadable(preference.kept(), reason: "a preference of nobody")
        }
        return .change(
            InboundChange(.preference, person: person, at: preference["timestamp"]?.seconds, isOptOut: isOptOut)
        )
    }
}
