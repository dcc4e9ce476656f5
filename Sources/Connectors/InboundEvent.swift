package import Foundation

/// What a webhook says has happened, in one form for all kinds of channels.
package enum InboundEvent: Sendable, Equatable {
    case message(InboundMessage)
    case change(InboundChange)
    /// Stands where something of use should be and can't be read; kept so that it can be looked at.
    case unreadable(JSONValue, reason: String)
}

/// A customer's message. Holds no U+0000, which PostgreSQL can't store.
package struct InboundMessage: Sendable, Equatable {
    /// The provider's id, by which a repetition is known; at most 1024 bytes.
    package var externalId: String?
    package var sender: Sender
    /// Exactly as received; empty for a message of attachments alone.
    package var text: String
    package var attachments: [Attachment]
    /// The provider's id of the message that this one quotes.
    package var replyTo: String?
    /// The provider's time.
    package var sentAt: Date?
    /// What came along and is kept without being shown: a JSON object.
    package var metadata: JSONValue?

    package init(
        externalId: String?,
        sender: Sender,
        text: String,
        attachments: [Attachment] = [],
        replyTo: String? = nil,
        sentAt: Date? = nil,
        metadata: JSONValue? = nil
    ) {
        self.externalId = externalId
        self.sender = sender
        self.text = text
        self.attachments = attachments
        self.replyTo = replyTo
        self.sentAt = sentAt
        self.metadata = metadata
    }
}

/// A person on a channel: at least one of the ids is there.
package struct Sender: Sendable, Equatable {
    /// `+` and 7…15 digits.
    package var phone: String?
    package var handle: String?
    /// The provider's id of the person, scoped to the business.
    package var externalId: String?
    package var name: String?

    var isKnown: Bool { phone != nil || handle != nil || externalId != nil }

    package init(phone: String? = nil, handle: String? = nil, externalId: String? = nil, name: String? = nil) {
        self.phone = phone
        self.handle = handle
        self.externalId = externalId
        self.name = name
    }
}

/// Something that comes or goes with a message.
package struct Attachment: Sendable, Equatable, Codable {
    /// `image`, `video`, `audio`, `file`; inbound also `sticker`, `location`, `contact`, `link`, `post`, `story`,
    /// `unsupported`.
    package var type: String
    package var url: String?
    package var mimeType: String?
    package var name: String?
    package var size: Int?

    package init(type: String, url: String? = nil, mimeType: String? = nil, name: String? = nil, size: Int? = nil) {
        self.type = type
        self.url = url
        self.mimeType = mimeType
        self.name = name
        self.size = size
    }
}
