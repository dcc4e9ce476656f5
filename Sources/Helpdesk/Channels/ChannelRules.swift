import Connectors
import Foundation
import Functions
import Postgres

/// What a kind of channel takes, as its provider documents it: said to whoever posts a message, before anything is sent.
struct ChannelRules: Sendable {
    private let kind: Channel.Kind

    init(_ kind: Channel.Kind) {
        self.kind = kind
    }

    /// What is wrong with a text; completes a sentence about it.
    func flaw(inText text: String) -> String? {
        switch kind {
        case .instagram where text.utf8.count > 1000:
            "has \(text.utf8.count) bytes of UTF-8, and Instagram takes 1000 at most"
        case .facebook: tooLong(text, 2000, "Messenger")
        case .linkedin: tooLong(text, 1250, "LinkedIn")
        case .whatsapp, .instagram, .twitter, .mock: nil
        }
    }

    private func tooLong(_ text: String, _ most: Int, _ name: String) -> String? {
        let count = text.unicodeScalars.count
        return count > most ? "has \(count) characters, and \(name) takes \(most) at most" : nil
    }

    /// The same of a text that was made for one recipient.
    func fault(inText text: String) -> SendFault? {
        flaw(inText: text).map { SendFault("message_too_long", "The text \($0).") }
    }

    /// How many MiB a file may have, and who says so.
    private func limit(of attachment: JSON) -> (most: Int, name: String)? {
        switch (kind, attachment["type"]?.string) {
        case (.whatsapp, "image"?): (5, "WhatsApp")
        case (.whatsapp, "audio"?), (.whatsapp, "video"?): (16, "WhatsApp")
        case (.whatsapp, _): (100, "WhatsApp")
        case (.facebook, _): (25, "Messenger")
        case (.instagram, "image"?): (8, "Instagram")
        case (.instagram, _): (25, "Instagram")
        case (.twitter, "image"?): (attachment["mimeType"] == "image/gif" ? 15 : 5, "X")
        case (.twitter, _): (50, "X")
        case (.linkedin, _), (.mock, _): nil
        }
    }

    /// What else of a message the channel can't carry.
    func faults(in content: MessageContent, at pointer: String) -> [Failure.Fault] {
        var faults: [Failure.Fault] = []
        if let flaw = flaw(inText: content.text) { faults.append(.init(.body("\(pointer)/text"), flaw)) }
        if content.template != nil, kind != .whatsapp, kind != .mock {
            faults.append(.init(.body("\(pointer)/template"), "can't be sent here: WhatsApp alone has templates"))
        }
        for (index, attachment) in (content.attachments.array ?? []).enumerated() {
            if let size = attachment["size"]?.integer, let (most, name) = limit(of: attachment), size > most << 20 {
                let words = "is more than the \(most) MiB that \(name) takes of this type"
                faults.append(.init(.body("\(pointer)/attachments/\(index)/size"), words))
            }
            switch kind {
            case .linkedin:
                faults.append(.init(.body("\(pointer)/attachments/\(index)"), "can't be sent: LinkedIn gets text only"))
            case .twitter where attachment["type"] == "file" || attachment["type"] == "audio":
                faults.append(
                    .init(
                        .body("\(pointer)/attachments/\(index)/type"),
                        "can't be \(attachment["type"]?.string ?? ""): X takes pictures and videos"
                    )
                )
            case .instagram where attachment["type"] == "file":
                faults.append(
                    .init(.body("\(pointer)/attachments/\(index)/type"), "can't be file: Instagram takes none")
                )
            default: continue
            }
        }
        return faults
    }

    /// Why the customer window lets this message not leave now; `channel` is a row with `is_window_open` and
    /// `is_human_window_open`.
    func windowFault(
        of content: MessageContent,
        isPersonal: Bool,
        _ channel: PostgresRow,
        at pointer: String
    ) throws -> Failure.Fault? {
        let isOpen = try channel.optional("is_window_open", as: Bool.self) == true
        switch kind {
        case .whatsapp where content.template == nil && !isOpen:
            let words =
                "is required: the contact's last message is more than 24 hours old, so WhatsApp takes templates only"
            return .init(.body("\(pointer)/template"), words)
        case .whatsapp where !isOpen && !(content.text.isEmpty && content.attachments == []):
            let part = content.text.isEmpty ? "attachments" : "text"
            let words = "can't go beside the template: the contact's last message is more than 24 hours old"
            return .init(.body("\(pointer)/\(part)"), words)
        case .facebook, .instagram:
            guard !isOpen else { return nil }
            let part = content.text.isEmpty ? (content.template == nil ? "attachments" : "template") : "text"
            guard let isLastDays = try channel.optional("is_human_window_open", as: Bool.self) else {
                return .init(
                    .body("\(pointer)/\(part)"),
                    "can't be sent: the contact has to write first on this channel"
                )
            }
            guard isLastDays else {
                let words = "can't be sent: the contact's last message is more than 7 days old, so the window is closed"
                return .init(.body("\(pointer)/\(part)"), words)
            }
            guard !isPersonal else { return nil }
            let words =
                "can't be sent: the contact's last message is more than 24 hours old, so only a person may answer, not a program"
            return .init(.body("\(pointer)/\(part)"), words)
        default: return nil
        }
    }
}
