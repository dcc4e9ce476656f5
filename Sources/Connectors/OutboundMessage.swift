package import Foundation

/// A message that is to leave.
package struct OutboundMessage: Sendable {
    /// Ours; the same for every attempt.
    package let id: UUID
    /// Which attempt this is, from 1.
    package let attempt: Int
    package let recipient: Recipient
    package let text: String
    package let attachments: [Attachment]
    /// `{name, language, components}` as JSON text.
    package let template: [UInt8]?
    /// The provider's id of the message that is quoted.
    package let replyTo: String?

    package init(
        id: UUID,
        attempt: Int,
        recipient: Recipient,
        text: String,
        attachments: [Attachment] = [],
        template: [UInt8]? = nil,
        replyTo: String? = nil
    ) {
        self.id = id
        self.attempt = attempt
        self.recipient = recipient
        self.text = text
        self.attachments = attachments
        self.template = template
        self.replyTo = replyTo
    }

    /// The ids under which the contact is known; a connector picks what its provider wants.
    package struct Recipient: Sendable {
        package let phone: String?
        package let handle: String?
        package let externalId: String?

        package init(phone: String?, handle: String?, externalId: String?) {
            self.phone = phone
            self.handle = handle
            self.externalId = externalId
        }
    }
}

/// How an attempt to send ended, in classes that say what to do next.
package enum SendResult: Sendable, Equatable {
    /// The provider has it under this id; `isDelivered` where it also said that it arrived.
    case accepted(externalId: String, isDelivered: Bool)
    /// It wasn't accepted and may be later; not before `after`, where the provider said so.
    case retry(after: Duration?, SendFault)
    /// A limit that the channel's messages share was met: all of them have to slow down.
    case pace(after: Duration?, SendFault)
    /// Final for this recipient.
    case recipient(SendFault)
    /// Final for this message: its format, template or window.
    case message(SendFault)
    /// Nothing will work on this channel until a person acts.
    case channel(SendFault)
    /// The connection broke after the first byte was written: it may have been accepted or not.
    case unanswered(SendFault)
}

/// What is shown of a failed attempt.
package struct SendFault: Sendable, Equatable {
    /// The provider's code, or a word of ours.
    package let code: String
    /// A sentence for people.
    package let message: String

    package init(_ code: String, _ message: String) {
        self.code = code
        self.message = message
    }
}
