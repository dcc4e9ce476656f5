package import Foundation

/// A message that is to leave, or one part of it where its provider takes it in several calls.
package struct OutboundMessage: Sendable {
    /// Ours; the same for every attempt.
    package let id: UUID
    /// Which attempt this is, from 1.
    package let attempt: Int
    package let recipient: Recipient
    package var text: String
    package var attachments: [Attachment]
    /// `{name, language, components}` as JSON text.
    package var template: [UInt8]?
    /// The provider's id of the message that is quoted.
    package var replyTo: String?
    /// The provider's id of the attachment's file, where it was given to the provider.
    package var uploadId: String?
    /// The contact's newest message of the conversation, for a provider where an answer belongs to one.
    package let answering: Answered?
    /// The provider's time of the contact's last message on the channel.
    package let lastInboundAt: Date?
    /// A member wrote it, neither a program nor a campaign.
    package let isPersonal: Bool
    /// Which of how many parts this is, from 1.
    package private(set) var part = Part(number: 1, count: 1)

    package init(
        id: UUID,
        attempt: Int,
        recipient: Recipient,
        text: String,
        attachments: [Attachment] = [],
        template: [UInt8]? = nil,
        replyTo: String? = nil,
        answering: Answered? = nil,
        lastInboundAt: Date? = nil,
        isPersonal: Bool = false
    ) {
        self.id = id
        self.attempt = attempt
        self.recipient = recipient
        self.text = text
        self.attachments = attachments
        self.template = template
        self.replyTo = replyTo
        self.answering = answering
        self.lastInboundAt = lastInboundAt
        self.isPersonal = isPersonal
    }

    package struct Part: Sendable, Equatable {
        package let number: Int
        package let count: Int

        package init(number: Int, count: Int) {
            self.number = number
            self.count = count
        }

        package var isLast: Bool { number == count }
    }

    /// A message of the contact's: the provider's id of it, and what was kept of it beside its text.
    package struct Answered: Sendable {
        package let externalId: String
        /// A JSON object.
        package let metadata: [UInt8]?

        package init(externalId: String, metadata: [UInt8]?) {
            self.externalId = externalId
            self.metadata = metadata
        }
    }

    /// What the provider is given to send back with everything that it tells of this message: `msg:` and our id, and where it
    /// has several parts `:2/3`.
    package var reference: String {
        "msg:\(id.uuidString.lowercased())" + (part.count == 1 ? "" : ":\(part.number)/\(part.count)")
    }

    /// This message cut into its text and each of its attachments; the first part is the one that quotes.
    ///
    /// - Parameter hasCaption: whether the attachment takes the text along.
    /// - Returns: the parts in their order, each knowing its place.
    func pieces(hasCaption: (Attachment) -> Bool = { _ in false }) -> [OutboundMessage] {
        var pieces: [OutboundMessage] = []
        func piece(_ change: (inout OutboundMessage) -> Void) {
            var piece = self
            (piece.text, piece.attachments, piece.template) = ("", [], nil)
            if !pieces.isEmpty { piece.replyTo = nil }
            change(&piece)
            pieces.append(piece)
        }
        if let template { piece { $0.template = template } }
        var rest = attachments[...]
        if !text.isEmpty {
            let captioned = rest.first.flatMap { hasCaption($0) ? $0 : nil }
            if captioned != nil { rest = rest.dropFirst() }
            piece {
                $0.text = text
                $0.attachments = captioned.map { [$0] } ?? []
            }
        }
        for attachment in rest { piece { $0.attachments = [attachment] } }
        for index in pieces.indices { pieces[index].part = Part(number: index + 1, count: pieces.count) }
        return pieces
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
    /// A limit that the channel's messages share was met: all of them have to slow down. Not this message's fault.
    case pace(after: Duration?, SendFault)
    /// Final for this recipient.
    case recipient(SendFault)
    /// Final for this message: its format or the customer window.
    case message(SendFault)
    /// Final for this message, and for every other one of the same template.
    case template(SendFault)
    /// The provider lets the account write to nobody new until a person has looked into it.
    case strangers(SendFault)
    /// The access token isn't taken; a new one may be had.
    case expired(SendFault)
    /// Nothing will work on this channel until a person acts.
    case channel(SendFault)
    /// The connection broke after the first byte was written: it may have been accepted or not.
    case unanswered(SendFault)
}

/// What an attempt to send told: how it ended, and what else the provider let know.
package struct SendReport: Sendable, Equatable {
    package var result: SendResult
    /// The provider's limits are nearly used up: the channel had better slow down.
    package var isStrained = false
    /// Another number by which the provider knows the recipient.
    package var alias: Sender?

    package init(_ result: SendResult, isStrained: Bool = false, alias: Sender? = nil) {
        self.result = result
        self.isStrained = isStrained
        self.alias = alias
    }
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
