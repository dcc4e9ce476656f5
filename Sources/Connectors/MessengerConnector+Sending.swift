import Egress
import Foundation

/// `POST /{version}/{id}/messages` of the Messenger Platform and of Instagram's two kinds of log-in.
extension MessengerConnector {
    /// Messenger's echoes carry our id; Instagram's may.
    package var unansweredSend: UnansweredSend { platform == .messenger ? .await : .awaitInVain }

    package func parts(of message: OutboundMessage) -> [OutboundMessage] { message.pieces() }

    package func send(
        _ message: OutboundMessage,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> SendReport {
        guard let person = message.recipient.externalId else {
            return SendReport(.recipient(.noAddress(platform == .messenger ? "Messenger id" : "Instagram id")))
        }
        guard let type = messagingType(message, now: providers.now()) else {
            return SendReport(.message(.windowClosed))
        }
        var body: [String: JSONValue] = ["recipient": ["id": .string(person)], "message": content(of: message)]
        body.merge(type) { _, new in new }
        if let quoted = message.replyTo { body["reply_to"] = ["mid": .string(quoted)] }
        let (base, sender, token) = Self.way(account, platform, providers)
        let api = GraphAPI(providers: providers, token: token)
        do {
            let answer = try await api.post("\(sender.percentEncoded)/messages", .object(body), base: base)
            let isStrained = GraphAPI.isStrained(answer)
            let classify = platform == .messenger ? GraphFaults.messenger : GraphFaults.instagram
            if let refusal = api.refusal(answer, attempt: message.attempt, by: classify) {
                return SendReport(refusal, isStrained: isStrained)
            }
            guard let id = answer.json?["message_id"]?.id else {
                let fault = SendFault("unreadable_answer", "The provider accepted the message without telling its id.")
                return SendReport(.unanswered(fault), isStrained: isStrained)
            }
            return SendReport(.accepted(externalId: id, isDelivered: false), isStrained: isStrained)
        } catch {
            return SendReport(SendResult(error))
        }
    }

    /// Where to, in whose name, and with which token.
    private static func way(
        _ account: ChannelAccount,
        _ platform: Platform,
        _ providers: Providers
    ) -> (base: String, sender: String, token: String) {
        let credentials = account.credentials
        switch platform {
        case .messenger: return (providers.graph, credentials["pageId"] ?? "", credentials["pageAccessToken"] ?? "")
        case .instagram where credentials["login"] == "instagram":
            return (providers.instagramGraph, credentials["accountId"] ?? "", credentials["accessToken"] ?? "")
        case .instagram: return (providers.graph, credentials["pageId"] ?? "me", credentials["accessToken"] ?? "")
        }
    }

    /// A day after the person's last message only a person may answer, for a week in all; `nil` where nobody may.
    private func messagingType(_ message: OutboundMessage, now: Date) -> [String: JSONValue]? {
        guard let last = message.lastInboundAt else { return nil }
        let age = now.timeIntervalSince(last)
        if age < 86_400 { return ["messaging_type": "RESPONSE"] }
        guard message.isPersonal, age < 7 * 86_400 else { return nil }
        return ["messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"]
    }

    private func content(of message: OutboundMessage) -> JSONValue {
        let metadata = JSONValue.string(message.reference)
        guard let attachment = message.attachments.first else {
            return ["text": .string(message.text), "metadata": metadata]
        }
        return [
            "attachment": ["type": .string(attachment.type), "payload": ["url": .string(attachment.url ?? "")]],
            "metadata": metadata,
        ]
    }

    /// Instagram's conversation with the person, newest first.
    package func sent(
        _ message: OutboundMessage,
        since moment: Date,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> [String] {
        guard platform == .instagram, !message.text.isEmpty, let person = message.recipient.externalId,
            let us = account.credentials["accountId"]
        else { return [] }
        let (base, sender, token) = Self.way(account, platform, providers)
        let fields = "messages.limit(20){id,created_time,from,message}".percentEncoded
        let path =
            "\(sender.percentEncoded)/conversations?platform=instagram&user_id=\(person.percentEncoded)&fields=\(fields)"
        let api = GraphAPI(providers: providers, token: token)
        // Who can't be asked has told nothing.
        guard let answer = try? await api.get(path, base: base), answer.status == 200 else { return [] }
        let messages = (answer.json?["data"]?.elements ?? []).flatMap { $0["messages"]?["data"]?.elements ?? [] }
        return messages.compactMap { shown in
            guard shown["from"]?["id"]?.id == us, shown["message"]?.string == message.text,
                let at = shown["created_time"]?.string.flatMap(Self.moment), at >= moment
            else { return nil }
            return shown["id"]?.id
        }
    }

    /// `2026-11-22T10:00:00+0000`
    private static func moment(_ text: String) -> Date? {
        let zoned = text.hasSuffix("+0000") ? String(text.dropLast(5)) + "Z" : text
        return try? Date(zoned, strategy: .iso8601)  // another form is no time
    }

    /// `GET /refresh_access_token` of Instagram's own log-in: a token that still lives, and is a day old, is exchanged for one of 60
    /// days. Page tokens need no renewal.
    package func refresh(_ account: ChannelAccount, at providers: Providers) async -> RefreshResult {
        guard platform == .instagram, account.credentials["login"] == "instagram",
            let token = account.credentials["accessToken"]
        else { return .impossible }
        // Outside of any version, and the token is a parameter.
        let query = "grant_type=ig_refresh_token&access_token=\(token.percentEncoded)"
        let answer: ProviderAnswer
        do {
            answer = try await providers.call(
                "GET",
                "\(providers.instagramGraph)/refresh_access_token?\(query)",
                headers: []
            )
        } catch {
            return .failed(SendFault("refresh_failed", error.description))
        }
        if (200..<300).contains(answer.status), let new = answer.json?["access_token"]?.string, !new.isEmpty {
            return .refreshed(["accessToken": new])
        }
        let code = answer.json?["error"]?["code"]?.integer
        let words = answer.json?["error"]?["message"]?.string ?? "no reason given"
        let fault = SendFault(
            code.map { "\($0)" } ?? "http_\(answer.status)",
            "Instagram gave no new access token: \(words)".asExplanation
        )
        return code == 190 ? .refused(fault) : .failed(fault)
    }
}
