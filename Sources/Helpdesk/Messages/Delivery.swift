import Connectors
import Foundation
import Functions
import Postgres
import Security

/// The next step of sending a ticket's messages, as `claim_delivery` decided it.
enum DeliveryStep: Sendable {
    /// Send this message; its attempt is recorded.
    case send(Delivery)
    /// An attempt to send this message began and nobody knows how it ended.
    case unanswered(Delivery)
    /// Somebody else is sending until then.
    case busy(until: Date)
    /// The first message in line is not to be tried before then.
    case later(Date)
    /// There is nothing to do: nothing is queued, or the channel waits for a person.
    case idle

    /// - Throws: ``PostgresError`` for a row that isn't `claim_delivery`'s, ``SealedError`` for credentials that can't be opened.
    init(_ rows: PostgresRows, _ sealed: Sealed) throws {
        guard let row = rows.first else {
            self = .idle
            return
        }
        switch try row.get("state", as: String.self) {
        case "send": self = .send(try Delivery(row, sealed))
        case "unanswered": self = .unanswered(try Delivery(row, sealed))
        case "busy": self = .busy(until: try row.get("due_at"))
        case "later": self = .later(try row.get("due_at"))
        default: self = .idle
        }
    }
}

/// A message whose attempt has begun, with all that its connector needs.
struct Delivery: Sendable {
    let id: Message.ID
    let channel: Channel.ID
    let kind: String
    let account: ChannelAccount
    let message: OutboundMessage
    /// How many attempts have begun, this one included.
    let attempts: Int
    let firstAttemptedAt: Date
    /// When the last attempt began.
    let attemptedAt: Date
    /// How many of its parts the provider has.
    let partsSent: Int
    /// Of an unanswered one: the provider's webhooks had their time to tell.
    let hasWaited: Bool

    init(_ row: PostgresRow, _ sealed: Sealed) throws {
        id = try row.get("message_id")
        channel = try row.get("channel_id")
        kind = try row.get("channel_type")
        attempts = try row.get("attempts")
        firstAttemptedAt = try row.get("first_attempted_at")
        attemptedAt = try row.get("attempted_at")
        partsSent = try row.get("parts_sent")
        hasWaited = try row.get("has_waited")
        account = ChannelAccount(
            channel,
            settings: try row.get("settings"),
            credentials: try ChannelCredentials.open(row.optional("credentials"), of: channel, with: sealed)
        )
        let attachments = try JSON.parse(row.get("attachments", as: String.self))
        message = OutboundMessage(
            id: id.uuid,
            attempt: attempts,
            recipient: .init(
                phone: try row.optional("phone"),
                handle: try row.optional("handle"),
                externalId: try row.optional("external_user")
            ),
            text: try row.get("text"),
            attachments: (attachments.array ?? []).map(Attachment.init),
            template: try row.optional("template", as: String.self).map { Array($0.utf8) },
            replyTo: try row.optional("reply_to"),
            answering: try row.optional("answered_id", as: String.self).map {
                OutboundMessage.Answered(
                    externalId: $0,
                    metadata: try row.optional("answered_metadata", as: String.self).map { Array($0.utf8) }
                )
            },
            lastInboundAt: try row.optional("last_inbound_provider_at"),
            // Programs have keys.
            isPersonal: try row.get("author_type", as: String.self) == "user"
        )
    }

    /// What is to be sent next of it.
    var part: OutboundMessage {
        let parts = connector.parts(of: message)
        // Another release may have cut it into more.
        return parts.isEmpty ? message : parts[min(partsSent, parts.count - 1)]
    }

    var connector: any Connector { Connectors.connector(for: kind) }
}

/// What becomes of a message after an attempt: a decision without effects.
enum DeliveryVerdict: Sendable, Equatable {
    case accepted(externalId: String, isDelivered: Bool)
    /// Tried again after that time; those behind it wait.
    case again(after: Duration)
    /// As before, and so is everything on the channel; the attempt doesn't count.
    case paced(after: Duration)
    /// Nobody knows whether it was accepted.
    case unknown
    /// Failed for good; those behind it go on.
    case failed(SendFault)
    /// The channel needs a person; the message stays queued.
    case held(SendFault)

    /// At most so many attempts, begun within an hour of the first.
    static let maxAttempts = 8
    static let maxAge = Duration.seconds(3600)

    /// How long a channel rests whose provider doesn't say how long.
    static let pacePause = Duration.seconds(5)
    /// How long the provider's webhooks may take to tell of an attempt whose answer was lost.
    static let evidencePatience = Duration.seconds(60)

    /// Decides by the answer, how many attempts have begun (from 1), how long ago the first one did, and how much of the
    /// backoff is waited (0…1).
    init(_ result: SendResult, attempts: Int, age: Duration, jitter: Double, unanswered: UnansweredSend) {
        switch result {
        case .accepted(let externalId, let isDelivered):
            self = .accepted(externalId: externalId, isDelivered: isDelivered)
        case .recipient(let fault), .message(let fault), .template(let fault), .strangers(let fault):
            self = .failed(fault)
        case .channel(let fault), .expired(let fault): self = .held(fault)
        case .retry(let after, let fault):
            self = Self.again(after, fault, attempts: attempts, age: age, jitter: jitter)
        case .pace(let after, _):
            // Not all at the same instant once it is over.
            self = .paced(after: (after ?? Self.pacePause) + .milliseconds(Int64(jitter * 1000)))
        case .unanswered(let fault):
            self =
                switch unanswered {
                case .resend: Self.again(nil, fault, attempts: attempts, age: age, jitter: jitter)
                case .await, .awaitInVain, .fail: .unknown
                }
        }
    }

    private static func again(
        _ after: Duration?,
        _ fault: SendFault,
        attempts: Int,
        age: Duration,
        jitter: Double
    ) -> DeliveryVerdict {
        let pause = max(after ?? .zero, backoff(attempts: attempts, jitter: jitter))
        guard attempts < maxAttempts, age + pause <= maxAge else { return .failed(fault) }
        return .again(after: pause)
    }

    /// 1 s · 2^n with full jitter, 5 min at most.
    static func backoff(attempts: Int, jitter: Double) -> Duration {
        let ceiling = min(300, pow(2, Double(max(0, attempts - 1))))
        return .milliseconds(Int64(ceiling * min(max(jitter, 0), 1) * 1000))
    }
}

extension SendFault {
    /// Sending again might reach the contact twice.
    static let outcomeUnknown = SendFault(
        "outcome_unknown",
        "The provider's answer was lost: the message may have arrived or not."
    )
}
