import Egress
import Foundation
import Security

/// `POST /2/dm_conversations/with/{id}/messages` of X's API: text, a file that was given to X before, or both.
extension TwitterConnector {
    package var unansweredSend: UnansweredSend { .fail }

    package func parts(of message: OutboundMessage) -> [OutboundMessage] { message.pieces { _ in true } }

    package func send(
        _ message: OutboundMessage,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> SendReport {
        guard let person = message.recipient.externalId else { return SendReport(.recipient(.noAddress("X id"))) }
        let url = "\(providers.x)/2/dm_conversations/with/\(person.percentEncoded)/messages"
        var body: [String: JSONValue] = [:]
        if !message.text.isEmpty { body["text"] = .string(message.text) }
        if let id = message.uploadId { body["attachments"] = [["media_id": .string(id)]] }
        do {
            let answer = try await providers.call(
                "POST",
                url,
                headers: [Self.authorisation(account, "POST", url, now: providers.now())],
                body: .object(body)
            )
            if (200..<300).contains(answer.status), let id = answer.json?["data"]?["dm_event_id"]?.id {
                return SendReport(.accepted(externalId: id, isDelivered: false), isStrained: Self.isStrained(answer))
            }
            return SendReport(
                Self.refusal(answer, attempt: message.attempt, now: providers.now()),
                isStrained: Self.isStrained(answer)
            )
        } catch {
            return SendReport(SendResult(error))
        }
    }

    /// OAuth 1.0a where the account has a token's secret, else a bearer token of OAuth 2.0.
    static func authorisation(
        _ account: ChannelAccount,
        _ method: String,
        _ url: String,
        parameters: [(name: String, value: String)] = [],
        now: Date
    ) -> (name: String, value: String) {
        let token = account.credentials["accessToken"] ?? ""
        guard let secret = account.credentials["accessTokenSecret"] else { return ("Authorization", "Bearer \(token)") }
        let signer = OAuth1(
            consumerKey: account.credentials["consumerKey"] ?? "",
            consumerSecret: account.credentials["consumerSecret"] ?? "",
            token: token,
            tokenSecret: secret
        )
        let value = signer.authorisation(
            method,
            url,
            parameters: parameters,
            nonce: Hex.encode(randomBytes(16)),
            timestamp: Int(now.timeIntervalSince1970)
        )
        return ("Authorization", value)
    }

    /// What an answer that isn't a yes comes to: problem JSON, or the older list of errors.
    static func refusal(_ answer: ProviderAnswer, attempt: Int, now: Date) -> SendResult {
        let after = answer.pause(resetHeader: "x-rate-limit-reset", now: now)
        guard let body = answer.json, body["title"] != nil || body["detail"] != nil || body["errors"] != nil else {
            guard answer.status != 401 else {
                return .expired(SendFault("http_401", "X does not take the access token."))
            }
            return SendResult(status: answer.status, after: after)
        }
        let first = body["errors"]?.elements.first
        let code = first?["code"]?.integer
        let problem = body["type"]?.string.flatMap { $0.split(separator: "/").last.map(String.init) } ?? ""
        let isNamed = body["type"]?.string?.hasPrefix("http") == true
        let words = first?["message"]?.string ?? body["detail"]?.string ?? body["title"]?.string ?? "X gave no reason."
        let fault = SendFault(
            code.map { "\($0)" } ?? (isNamed ? problem : "http_\(answer.status)"),
            words.asExplanation
        )
        switch (answer.status, code) {
        case (429, _), (_, 88?): return .pace(after: after, fault)
        case (_, 349?), (_, 150?), (_, 151?): return .recipient(fault)
        case (401, _): return .expired(fault)
        case (403, _):
            let isAboutPerson = (body["detail"]?.string ?? words).lowercased().contains("permission to dm")
            return isAboutPerson ? .recipient(fault) : .channel(fault)
        case (404, _): return .recipient(fault)
        case (500..., _):
            return attempt < GraphFaults.few ? .retry(after: after, fault) : .message(fault)
        default: return .message(fault)
        }
    }

    /// The last of the calls that are allowed before the limit is reset, where there were any at the start.
    private static func isStrained(_ answer: ProviderAnswer) -> Bool {
        guard let limit = answer.header("x-rate-limit-limit").flatMap({ Double($0) }), limit > 0,
            let left = answer.header("x-rate-limit-remaining").flatMap({ Double($0) })
        else { return false }
        return left <= limit * 0.2
    }

    /// The conversation with the person, newest first.
    package func sent(
        _ message: OutboundMessage,
        since moment: Date,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> [String] {
        guard let person = message.recipient.externalId, let us = account.credentials["userId"] else { return [] }
        let url = "\(providers.x)/2/dm_conversations/with/\(person.percentEncoded)/dm_events"
        let parameters = [
            (name: "dm_event.fields", value: "id,text,sender_id,created_at"),
            (name: "event_types", value: "MessageCreate"),
            (name: "max_results", value: "20"),
        ]
        let header = Self.authorisation(account, "GET", url, parameters: parameters, now: providers.now())
        let query = parameters.map { "\($0.name)=\($0.value.percentEncoded)" }.joined(separator: "&")
        // Who can't be asked has told nothing.
        guard let answer = try? await providers.call("GET", url + "?" + query, headers: [header]), answer.status == 200
        else { return [] }
        return (answer.json?["data"]?.elements ?? []).compactMap { event in
            guard event["sender_id"]?.id == us,
                Self.isText(event["text"]?.string.map(Self.unescaped) ?? "", of: message),
                let at = event["created_at"]?.string.flatMap(Self.moment), at >= moment
            else { return nil }
            return event["id"]?.id
        }
    }

    /// A file shows as a link behind the text.
    private static func isText(_ shown: String, of message: OutboundMessage) -> Bool {
        guard !message.attachments.isEmpty, let link = shown.range(of: "https://t.co/", options: .backwards) else {
            return shown == message.text
        }
        return shown[..<link.lowerBound].trimmingCharacters(in: .whitespaces)
            == message.text.trimmingCharacters(in: .whitespaces)
    }

    /// `2026-11-22T10:00:00.000Z`
    private static func moment(_ text: String) -> Date? {
        try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))  // another form is no time
    }

    private static func unescaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&lt;", with: "<").replacingOccurrences(of: "&gt;", with: ">")
            .replacingOccurrences(of: "&amp;", with: "&")
    }

    /// `POST /2/oauth2/token`: the refresh token is good once, and a new one comes with the access token.
    package func refresh(_ account: ChannelAccount, at providers: Providers) async -> RefreshResult {
        let credentials = account.credentials
        guard credentials["accessTokenSecret"] == nil, let token = credentials["refreshToken"],
            let client = credentials["clientId"]
        else { return .impossible }
        var headers: [(name: String, value: String)] = []
        // Without a secret it is a public client, which names itself in the form alone.
        if let secret = credentials["clientSecret"] {
            let pair = "\(client.percentEncoded):\(secret.percentEncoded)"
            headers.append(("Authorization", "Basic " + Base64.standard.encode(Array(pair.utf8))))
        }
        return await OAuth2.refresh(
            [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client)],
            to: "\(providers.x)/2/oauth2/token",
            headers: headers,
            at: providers
        )
    }
}

/// The refresh grant of OAuth 2.0 (RFC 6749, section 6).
enum OAuth2 {
    static func refresh(
        _ form: [(name: String, value: String)],
        to url: String,
        headers: [(name: String, value: String)] = [],
        at providers: Providers
    ) async -> RefreshResult {
        let answer: ProviderAnswer
        do {
            answer = try await providers.post(form: form, to: url, headers: headers)
        } catch {
            return .failed(SendFault("refresh_failed", error.description))
        }
        if (200..<300).contains(answer.status), let access = answer.json?["access_token"]?.string, !access.isEmpty {
            var new = ["accessToken": access]
            if let refresh = answer.json?["refresh_token"]?.string, !refresh.isEmpty { new["refreshToken"] = refresh }
            return .refreshed(new)
        }
        let words = answer.json?["error_description"]?.string ?? answer.json?["error"]?.string ?? "no reason given"
        let fault = SendFault("refresh_refused", "The provider gave no new access token: \(words)".asExplanation)
        return (400..<500).contains(answer.status) && answer.status != 429 ? .refused(fault) : .failed(fault)
    }
}
