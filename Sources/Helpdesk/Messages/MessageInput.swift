import Functions

/// The parts of a message as callers give them; ``content(at:)`` checks what the fields alone can't.
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

    /// The content, or `nil` where there is none; `pointer` is where in the body the message lies. A template's components
    /// that can't be stored are 422.
    func content(at pointer: String = "") throws(Failure) -> MessageContent? {
        if let components = template?["components"], !components.isStorable {
            throw Failure.invalid("\(pointer)/template/components", "must not contain U+0000 or numbers out of range")
        }
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
