package import Foundation

/// The code for one kind of channel: how its provider's webhooks are read and its messages sent.
///
/// A connector holds no state and no connection of a tenant: what it works for comes with each call.
package protocol Connector: Sendable {
    /// What a send means whose answer never came, because we were killed or the connection broke.
    var unansweredSend: UnansweredSend { get }

    /// What to answer to the provider's handshake, or `nil` to refuse it.
    ///
    /// - Throws: ``WebhookFault/badHandshake(_:)`` for a question that is none.
    func handshake(_ query: [(name: String, value: String)], for account: ChannelAccount) throws(WebhookFault)
        -> HandshakeAnswer?

    /// Checks that a webhook's bytes are the provider's and reads what happened.
    ///
    /// - Throws: ``WebhookFault/badSignature`` before anything is read; ``WebhookFault/badFormat(_:)`` for bytes that are
    ///   not the channel's format. What is well-formed but of no use is left out silently.
    func events(in webhook: Webhook, for account: ChannelAccount) throws(WebhookFault) -> [InboundEvent]

    /// The calls that a message takes, in their order; each is sent, and its outcome recorded, by itself.
    func parts(of message: OutboundMessage) -> [OutboundMessage]

    /// Whether a part's file has to be given to the provider before it is sent, because it takes no addresses.
    func needsUpload(_ message: OutboundMessage) -> Bool

    /// How many bytes a file of a content type may have that is given to the provider; `nil` for a type that it doesn't take.
    func uploadLimit(of type: String) -> Int?

    /// Gives the provider a part's file. Nothing is sent by that: whatever breaks off can be begun again.
    ///
    /// - Parameters:
    ///   - file: what is given.
    ///   - account: the channel.
    ///   - providers: where the provider is.
    ///   - deadline: when nobody waits any more for what the provider does with it.
    /// - Returns: the id that ``OutboundMessage/uploadId`` takes, or why there is none.
    func upload(
        _ file: OutgoingFile,
        through account: ChannelAccount,
        at providers: Providers,
        until deadline: Date
    ) async -> UploadResult

    /// Sends one part of a message. Never throws: every end is one of the classes of ``SendResult``.
    func send(_ message: OutboundMessage, through account: ChannelAccount, at providers: Providers) async -> SendReport

    /// Looks for a part whose answer was lost among what the provider shows of the conversation.
    ///
    /// - Parameters:
    ///   - message: the part.
    ///   - moment: when its attempt began; nothing older is it.
    ///   - account: the channel.
    ///   - providers: where the provider is.
    /// - Returns: the provider's id of each message of ours that says the same; none also where the provider can't be asked.
    func sent(
        _ message: OutboundMessage,
        since moment: Date,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> [String]

    /// Exchanges the refresh token for new tokens.
    func refresh(_ account: ChannelAccount, at providers: Providers) async -> RefreshResult
}

extension Connector {
    package func parts(of message: OutboundMessage) -> [OutboundMessage] { [message] }

    package func needsUpload(_ message: OutboundMessage) -> Bool { false }

    package func uploadLimit(of type: String) -> Int? { nil }

    package func upload(
        _ file: OutgoingFile,
        through account: ChannelAccount,
        at providers: Providers,
        until deadline: Date
    ) async -> UploadResult {
        .refused(.message(SendFault("no_upload", "The channel takes no files.")))
    }

    package func sent(
        _ message: OutboundMessage,
        since moment: Date,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> [String] { [] }

    package func refresh(_ account: ChannelAccount, at providers: Providers) async -> RefreshResult { .impossible }
}

/// What came of asking for new tokens.
package enum RefreshResult: Sendable, Equatable {
    /// Credentials by name, to be stored at once: the old ones may be good for nothing by now.
    case refreshed([String: String])
    /// The account has no refresh token.
    case impossible
    /// The provider doesn't take the refresh token: a person has to connect the account again.
    case refused(SendFault)
    /// It may work later.
    case failed(SendFault)
}

/// The whole body of the answer to a handshake.
package struct HandshakeAnswer: Sendable, Equatable {
    package let contentType: String
    package let body: String

    static func text(_ body: String) -> HandshakeAnswer { HandshakeAnswer(contentType: "text/plain", body: body) }

    /// An object of these members, in this order.
    static func object(_ members: [(name: String, value: String)]) -> HandshakeAnswer {
        let members = members.map { JSONValue.string($0.name).text + ":" + JSONValue.string($0.value).text }
        return HandshakeAnswer(contentType: "application/json", body: "{" + members.joined(separator: ",") + "}")
    }
}

/// A channel as its connector needs it.
package struct ChannelAccount: Sendable {
    package let channel: UUID
    /// A JSON object.
    package let settings: [UInt8]
    /// By name; empty for a kind without any.
    package let credentials: [String: String]

    package init(channel: UUID, settings: [UInt8], credentials: [String: String]) {
        self.channel = channel
        self.settings = settings
        self.credentials = credentials
    }
}

/// A webhook as it came: signatures are checked over exactly these bytes.
package struct Webhook: Sendable {
    /// Names in lower case.
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]

    package init(headers: [(name: String, value: String)], body: [UInt8]) {
        self.headers = headers
        self.body = body
    }

    /// The first header of a name in lower case.
    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Why a webhook is refused.
package enum WebhookFault: Error, Sendable, Equatable {
    /// It isn't the provider's.
    case badSignature
    /// The bytes are not what the channel's kind sends; the text completes "The body …".
    case badFormat(String)
    /// The question of a handshake lacks what has to be answered; the text completes "The query …".
    case badHandshake(String)
}

/// What may be done about an attempt of which no answer is known.
package enum UnansweredSend: Sendable {
    /// The provider knows our message's id, so sending it again sends it once.
    case resend
    /// The provider's webhooks name our message's id: they are waited for. Where we were listening all the time and nothing
    /// came, it wasn't accepted.
    case await
    /// As before, but nobody promises that the id comes back.
    case awaitInVain
    /// It could arrive twice; unless the conversation shows it, the message fails and a person decides.
    case fail
}
