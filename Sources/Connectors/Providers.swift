package import Egress
package import Foundation
import Security

/// Where the providers are, which versions of their APIs are spoken, and the way there: the operator's to say, never a
/// tenant's.
package struct Providers: Sendable {
    let graph: String
    let instagramGraph: String
    let graphVersion: String
    let x: String
    let linkedIn: String
    /// Where tokens are had, which isn't where the API is.
    let linkedInOAuth: String
    let linkedInVersion: String
    let client: ProviderClient
    let now: @Sendable () -> Date

    /// - Parameters:
    ///   - client: the way out.
    ///   - now: the time, for headers that tell when a limit is reset.
    ///   - setting: the value of a setting by its name; one that is missing leaves its provider out of reach.
    package init(
        client: ProviderClient,
        now: @escaping @Sendable () -> Date = { Date() },
        setting: (String) throws -> String?
    ) rethrows {
        func address(_ name: String) throws -> String {
            let text = try setting(name) ?? ""
            return text.hasSuffix("/") ? String(text.dropLast()) : text
        }
        graph = try address("META_GRAPH_URL")
        instagramGraph = try address("INSTAGRAM_GRAPH_URL")
        graphVersion = try setting("META_GRAPH_VERSION") ?? ""
        x = try address("X_API_URL")
        linkedIn = try address("LINKEDIN_API_URL")
        linkedInOAuth = try address("LINKEDIN_OAUTH_URL")
        linkedInVersion = try setting("LINKEDIN_VERSION") ?? ""
        self.client = client
        self.now = now
    }

    /// The settings that ``init(client:now:setting:)`` reads.
    package static let settings = [
        "META_GRAPH_URL", "INSTAGRAM_GRAPH_URL", "META_GRAPH_VERSION", "X_API_URL", "LINKEDIN_API_URL",
        "LINKEDIN_OAUTH_URL",
        "LINKEDIN_VERSION",
    ]

    /// What is wrong with the settings, each as a sentence.
    package static func faults(_ setting: (String) -> String?) -> [String] {
        settings.compactMap { name in
            guard let value = setting(name) else { return nil }
            if name.hasSuffix("_URL") {
                guard let url = URL(string: value), ["http", "https"].contains(url.scheme?.lowercased()),
                    url.host != nil,
                    url.query == nil, url.fragment == nil, url.user == nil
                else { return "\(name) is not an http or https address without a query (\"\(value)\")" }
                return nil
            }
            let digits = { (text: Substring) in !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) } }
            if name == "META_GRAPH_VERSION" {
                let parts = value.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
                guard value.hasPrefix("v"), parts.count == 2, parts.allSatisfy(digits) else {
                    return "\(name) is not a version such as v25.0 (\"\(value)\")"
                }
            } else if value.count != 6 || !digits(value[...]) || !(1...12).contains(Int(value.suffix(2)) ?? 0) {
                return "\(name) is not a year and a month such as 202610 (\"\(value)\")"
            }
            return nil
        }
    }

    /// Calls a provider with a JSON body, or without one.
    func call(
        _ method: String,
        _ url: String,
        headers: [(name: String, value: String)],
        body: JSONValue? = nil
    ) async throws(CallFault) -> ProviderAnswer {
        var headers = headers + [("Accept", "application/json"), ("User-Agent", "DelightChat/1")]
        if body != nil { headers.append(("Content-Type", "application/json")) }
        return try await client.send(
            OutgoingRequest(
                method: method,
                url: url,
                headers: headers,
                body: body.map { Array($0.text.utf8) } ?? [],
                timeout: ProviderClient.limit
            )
        )
    }

    /// Gives a provider bytes, as one part of a form of several.
    func post(
        _ bytes: [UInt8],
        named name: String,
        beside fields: [(name: String, value: String)],
        to url: String,
        headers: [(name: String, value: String)]
    ) async throws(CallFault) -> ProviderAnswer {
        // RFC 7578; random, so that no file holds it.
        let boundary = "part-" + Hex.encode(randomBytes(16))
        var body: [UInt8] = []
        for field in fields {
            body += Array(
                "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(field.name)\"\r\n\r\n\(field.value)\r\n".utf8
            )
        }
        let disposition = "Content-Disposition: form-data; name=\"\(name)\"; filename=\"file\""
        body += Array("--\(boundary)\r\n\(disposition)\r\nContent-Type: application/octet-stream\r\n\r\n".utf8)
        body += bytes + Array("\r\n--\(boundary)--\r\n".utf8)
        return try await client.send(
            OutgoingRequest(
                method: "POST",
                url: url,
                headers: headers + [
                    ("Accept", "application/json"), ("User-Agent", "DelightChat/1"),
                    ("Content-Type", "multipart/form-data; boundary=\(boundary)"),
                ],
                body: body,
                timeout: ProviderClient.limit
            )
        )
    }

    /// Calls a provider with a form.
    func post(
        form: [(name: String, value: String)],
        to url: String,
        headers: [(name: String, value: String)] = []
    ) async throws(CallFault) -> ProviderAnswer {
        let text = form.map { $0.name.percentEncoded + "=" + $0.value.percentEncoded }.joined(separator: "&")
        return try await client.send(
            OutgoingRequest(
                method: "POST",
                url: url,
                headers: headers + [
                    ("Accept", "application/json"), ("User-Agent", "DelightChat/1"),
                    ("Content-Type", "application/x-www-form-urlencoded"),
                ],
                body: Array(text.utf8),
                timeout: ProviderClient.limit
            )
        )
    }
}

extension ProviderAnswer {
    /// The body where it is a JSON object.
    var json: JSONValue? { JSONValue(body: body) }

    /// How long the provider wants to be left alone, by `Retry-After` in seconds or by a reset header in seconds since 1970.
    func pause(resetHeader: String? = nil, now: Date) -> Duration? {
        if let seconds = header("retry-after").flatMap({ Int64($0) }), seconds >= 0 {
            return .seconds(min(seconds, 86_400))
        }
        guard let resetHeader, let reset = header(resetHeader).flatMap({ Double($0) }), reset.isFinite else {
            return nil
        }
        return .seconds(min(max(0, reset - now.timeIntervalSince1970), 86_400))
    }
}

extension SendResult {
    /// Of a call without an answer.
    init(_ fault: CallFault) {
        switch fault {
        case .unsent: self = .retry(after: nil, SendFault("unreachable", fault.description))
        case .unanswered: self = .unanswered(SendFault("unanswered", fault.description))
        }
    }

    /// Of an answer without the provider's own words.
    init(status: Int, after: Duration?) {
        let fault = SendFault("http_\(status)", "The provider answered \(status) without saying why.")
        switch status {
        // The page of a gateway: what is behind it may have taken the message or not.
        case 500...: self = .unanswered(fault)
        case 200..<300: self = .unanswered(fault)
        case 429: self = .pace(after: after, fault)
        case 401, 403: self = .channel(fault)
        case 300..<400, 408, 425: self = .retry(after: after, fault)
        default: self = .message(fault)
        }
    }
}

extension String {
    /// Everything but letters, digits and `-._~` as `%XX` (RFC 3986), as query parts and OAuth 1.0a want it.
    var percentEncoded: String {
        var text = ""
        for byte in utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: text.unicodeScalars.append(.init(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                text += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return text
    }

    /// What is shown of a provider's words.
    var asExplanation: String { String(prefix(1000)) }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }
}
