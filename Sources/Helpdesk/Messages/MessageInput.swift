import Functions

/// The parts of a message as callers give them; ``check(_:at:into:)`` tells what the fields alone can't.
struct MessageInput: Decodable, Sendable {
    let text: String?
    let template: JSON?
    let attachments: [JSON]?

    static let text = Field.optional("text", .text(1...4096), example: "We are looking into it.")

    static let template = Field.optional(
        "template",
        .object([
            .required("name", .text(1...512, .name), example: "order_update"),
            .required("language", .text(1...20, .name), example: "en_US"),
            .optional("components", .list(.json, 0...50), doc: "as the provider takes them", example: []),
        ]),
        doc: "one that the provider has approved"
    )

    static let attachments = Field.optional(
        "attachments",
        .list(
            .object([
                .required("type", .choice(["image", "video", "audio", "file"])),
                .required("url", .url),
                .optional("mimeType", .text(1...255), example: "image/png"),
                .optional("name", .text(1...255, .name), example: "a.png"),
                .optional("size", .integer(0...10_000_000_000), doc: "in bytes", example: 4096),
            ]),
            0...10
        )
    )

    /// Reports a template's components that can't be stored; `pointer` is where in the body the message lies.
    static func check(_ message: JSON, at pointer: String = "", into check: inout FieldCheck) {
        let place = "\(pointer)/template/components"
        guard check.isFine(place), message["template"]?["components"]?.isStorable == false else { return }
        check.report(place, "must not contain U+0000 or numbers out of range")
    }

    /// Reports besides where a body's `message` is not just one of a text and a template.
    static func checkEither(in body: JSON, into check: inout FieldCheck) {
        guard let message = body.given("message"), message.members != nil else { return }
        switch (message.given("text"), message.given("template")) {
        case (nil, nil): check.report("/message/text", "is required without a template")
        case (.some, .some): check.report("/message/template", "can't come along with a text")
        default: break
        }
        Self.check(message, at: "/message", into: &check)
    }

    /// The content, or `nil` where there is none.
    var content: MessageContent? {
        let attachments = attachments ?? []
        guard text != nil || template != nil || !attachments.isEmpty else { return nil }
        return MessageContent(
            text: text ?? "",
            attachments: .array(attachments.map(Self.whole)),
            template: template
        )
    }

    /// An attachment with all of its members, as it is shown.
    private static func whole(_ attachment: JSON) -> JSON {
        .object(["type", "url", "mimeType", "name", "size"].map { JSON.Member($0, attachment[$0] ?? .null) })
    }
}

extension JSON {
    /// Whether PostgreSQL's jsonb takes it: no U+0000 anywhere, and numbers that are finite as a double.
    var isStorable: Bool {
        switch self {
        case .null, .bool: true
        case .number(let text): Double(text)?.isFinite == true
        case .string(let text): !text.utf8.contains(0)
        case .array(let elements): elements.allSatisfy(\.isStorable)
        case .object(let members): members.allSatisfy { !$0.name.utf8.contains(0) && $0.value.isStorable }
        }
    }
}
