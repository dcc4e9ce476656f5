import Egress
import Foundation

/// `POST /rest/socialActions/{urn}/comments` of the Community Management API: an answer is a public comment.
extension LinkedInConnector {
    package var unansweredSend: UnansweredSend { .fail }

    package func send(
        _ message: OutboundMessage,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> SendReport {
        guard let place = Self.place(of: message) else {
            return SendReport(.recipient(.noAddress("comment or post to answer")))
        }
        var body: [String: JSONValue] = [
            "actor": .string(account.credentials["organizationUrn"] ?? ""), "object": .string(place.post),
            "message": ["text": .string(message.text)],
        ]
        if let parent = place.comment { body["parentComment"] = .string(parent) }
        let url = "\(providers.linkedIn)/rest/socialActions/\((place.comment ?? place.post).percentEncoded)/comments"
        do {
            let answer = try await providers.call(
                "POST",
                url,
                headers: Self.headers(account, providers),
                body: .object(body)
            )
            guard (200..<300).contains(answer.status) else {
                return SendReport(Self.refusal(answer, attempt: message.attempt, now: providers.now()))
            }
            let id = answer.json?["id"]?.id ?? answer.header("x-restli-id")
            guard let urn = answer.json?["commentUrn"]?.id ?? id.map({ "urn:li:comment:(\(place.post),\($0))" }) else {
                let fault = SendFault("unreadable_answer", "LinkedIn accepted the comment without telling its id.")
                return SendReport(.unanswered(fault))
            }
            return SendReport(.accepted(externalId: urn, isDelivered: false))
        } catch {
            return SendReport(SendResult(error))
        }
    }

    private static func headers(_ account: ChannelAccount, _ providers: Providers) -> [(name: String, value: String)] {
        [
            ("Authorization", "Bearer \(account.credentials["accessToken"] ?? "")"),
            ("LinkedIn-Version", providers.linkedInVersion), ("X-Restli-Protocol-Version", "2.0.0"),
        ]
    }

    /// Where an answer belongs: on a post, and under its top-level comment where there is one. There are two levels only, so what
    /// answers a comment of the second goes beside it.
    static func place(of message: OutboundMessage) -> (post: String, comment: String?)? {
        guard let id = message.replyTo ?? message.answering?.externalId else { return nil }
        let prefix = "urn:li:comment:("
        guard id.hasPrefix(prefix), id.hasSuffix(")") else { return id.hasPrefix("urn:li:") ? (id, nil) : nil }
        let inside = id.dropFirst(prefix.count).dropLast()
        guard let comma = inside.lastIndex(of: ",") else { return nil }
        let post = String(inside[..<comma])
        let parent = message.answering.flatMap { answered -> String? in
            guard answered.externalId == id, let metadata = answered.metadata.flatMap({ JSONValue(body: $0) }) else {
                return nil
            }
            return metadata["parentComment"]?.id
        }
        return (post, parent ?? id)
    }

    static func refusal(_ answer: ProviderAnswer, attempt: Int, now: Date) -> SendResult {
        let after = answer.pause(now: now)
        guard let body = answer.json, body["message"] != nil || body["serviceErrorCode"] != nil || body["code"] != nil
        else {
            guard answer.status != 401 else {
                return .expired(SendFault("http_401", "LinkedIn does not take the access token."))
            }
            return SendResult(status: answer.status, after: after)
        }
        let words = body["message"]?.string ?? "LinkedIn gave no reason."
        let code = body["code"]?.string ?? body["serviceErrorCode"]?.id ?? "http_\(answer.status)"
        let fault = SendFault(code, words.asExplanation)
        switch answer.status {
        case 401: return .expired(fault)
        case 403, 426: return .channel(fault)
        case 429:
            // A day's quota is told by its words; without them it is one of the short limits.
            let isDaily = words.uppercased().contains("DAY")
            return .pace(after: after ?? (isDaily ? untilMidnight(now) : .seconds(60)), fault)
        case 500...: return attempt < GraphFaults.few ? .retry(after: after, fault) : .message(fault)
        default: return .message(fault)
        }
    }

    /// The quotas begin anew at 00:00 UTC.
    private static func untilMidnight(_ now: Date) -> Duration {
        .seconds(86_400 - now.timeIntervalSince1970.truncatingRemainder(dividingBy: 86_400))
    }

    /// The comments at the place, newest last.
    package func sent(
        _ message: OutboundMessage,
        since moment: Date,
        through account: ChannelAccount,
        at providers: Providers
    ) async -> [String] {
        guard let place = Self.place(of: message), let us = account.credentials["organizationUrn"] else { return [] }
        let url =
            "\(providers.linkedIn)/rest/socialActions/\((place.comment ?? place.post).percentEncoded)/comments?count=50"
        // Who can't be asked has told nothing.
        guard let answer = try? await providers.call("GET", url, headers: Self.headers(account, providers)),
            answer.status == 200
        else { return [] }
        return (answer.json?["elements"]?.elements ?? []).compactMap { comment in
            guard comment["actor"]?.string == us, comment["message"]?["text"]?.string == message.text,
                let at = comment["created"]?["time"]?.milliseconds, at >= moment
            else { return nil }
            return comment["commentUrn"]?.id ?? comment["id"]?.id.map { "urn:li:comment:(\(place.post),\($0))" }
        }
    }

    /// `POST /oauth/v2/accessToken`, for apps that are approved for refresh tokens.
    package func refresh(_ account: ChannelAccount, at providers: Providers) async -> RefreshResult {
        guard let token = account.credentials["refreshToken"], let client = account.credentials["clientId"],
            let secret = account.credentials["clientSecret"]
        else { return .impossible }
        return await OAuth2.refresh(
            [
                ("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client),
                ("client_secret", secret),
            ],
            to: "\(providers.linkedInOAuth)/oauth/v2/accessToken",
            at: providers
        )
    }
}
