import Connectors
import Functions

extension Attachment {
    init(_ json: JSON) {
        self.init(
            type: json["type"]?.string ?? "file",
            url: json["url"]?.string,
            mimeType: json["mimeType"]?.string,
            name: json["name"]?.string,
            size: json["size"]?.integer
        )
    }

    /// With all of its members, as it is stored and shown.
    var json: JSON {
        [
            "type": .string(type), "url": .text(url), "mimeType": .text(mimeType), "name": .text(name),
            "size": size.map { .number(String($0)) } ?? .null,
        ]
    }

    /// Whether there is a file among them that a worker may fetch; `note_attachments` knows which.
    static func haveFiles(_ attachments: [JSON]?) -> Bool {
        let files = ["image", "video", "audio", "file", "sticker"]
        return attachments?.contains { $0["type"]?.string.map(files.contains) == true } == true
    }
}
