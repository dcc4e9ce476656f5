package import Foundation

/// What happened to a message or a person, without being a message itself. Holds no U+0000.
package struct InboundChange: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// One of our messages got somewhere: ``status``, and ``fault`` where it failed.
        case status
        /// All that we sent to the person so far got somewhere: up to the moment ``at``, or up to the message ``externalId``,
        /// or where ``number`` is set up to that id, of which ids are numbers that rise.
        case reach
        /// The person reacts with ``emoji``, or no more where it is `nil`.
        case reaction
        /// The message says ``text`` from now on; the highest ``number`` is the newest.
        case edit
        /// The message was taken back.
        case unsend
        /// Our side wrote this message, in this product or elsewhere; ``person`` is who got it.
        case echo
        /// The ids of ``person`` were replaced by those of ``successor``.
        case identity
        /// The person wants no more campaigns, or wants them again; ``isOptOut``.
        case preference
        /// The person came by a link or an advertisement, told by ``metadata``.
        case referral
        /// The account has taken our access away.
        case revoked
    }

    package var kind: Kind
    /// The provider's id of the message that it is about.
    package var externalId: String?
    /// Our id of that message, where the provider sends it back.
    package var messageId: UUID?
    /// Which part of that message, where it has several.
    package var part: OutboundMessage.Part?
    package var person: Sender?
    package var successor: Sender?
    /// The provider's time.
    package var at: Date?
    /// `sent`, `delivered`, `read` or `failed`.
    package var status: String?
    package var fault: SendFault?
    /// Whoever else would be sent the same would fare no better: a campaign mustn't go on.
    package var haltsCampaign = false
    package var number: Int64?
    package var emoji: String?
    package var isOptOut: Bool?
    package var text: String?
    package var attachments: [Attachment]
    package var replyTo: String?
    /// A JSON object.
    package var metadata: JSONValue?

    package init(
        _ kind: Kind,
        externalId: String? = nil,
        messageId: UUID? = nil,
        person: Sender? = nil,
        successor: Sender? = nil,
        at: Date? = nil,
        status: String? = nil,
        fault: SendFault? = nil,
        number: Int64? = nil,
        emoji: String? = nil,
        isOptOut: Bool? = nil,
        text: String? = nil,
        attachments: [Attachment] = [],
        replyTo: String? = nil,
        metadata: JSONValue? = nil
    ) {
        self.kind = kind
        self.externalId = externalId
        self.messageId = messageId
        self.person = person
        self.successor = successor
        self.at = at
        self.status = status
        self.fault = fault
        self.number = number
        self.emoji = emoji
        self.isOptOut = isOptOut
        self.text = text
        self.attachments = attachments
        self.replyTo = replyTo
        self.metadata = metadata
    }

    /// A message of our side, which the provider shows us as it shows the contact's.
    static func echo(
        _ message: InboundMessage,
        ours: (id: UUID, part: OutboundMessage.Part)? = nil
    ) -> InboundChange {
        var change = InboundChange(
            .echo,
            externalId: message.externalId,
            messageId: ours?.id,
            person: message.sender,
            at: message.sentAt,
            text: message.text,
            attachments: message.attachments,
            replyTo: message.replyTo,
            metadata: message.metadata
        )
        if let ours, ours.part.count > 1 { change.part = ours.part }
        return change
    }
}
