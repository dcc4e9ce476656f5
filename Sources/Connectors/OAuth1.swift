import Foundation
import Security

/// Signs requests by OAuth 1.0a with HMAC-SHA1 (RFC 5849).
struct OAuth1: Sendable {
    let consumerKey: String
    let consumerSecret: String
    let token: String
    let tokenSecret: String

    /// The value of the `Authorization` header of a request whose body is no form.
    ///
    /// - Parameters:
    ///   - method: the verb, in any case.
    ///   - url: without the query.
    ///   - parameters: the query, decoded.
    ///   - nonce: another one for each request.
    ///   - timestamp: seconds since 1970.
    /// - Returns: the scheme and its parameters.
    func authorisation(
        _ method: String,
        _ url: String,
        parameters: [(name: String, value: String)] = [],
        nonce: String,
        timestamp: Int
    ) -> String {
        let own = [
            ("oauth_consumer_key", consumerKey), ("oauth_nonce", nonce), ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", String(timestamp)), ("oauth_token", token), ("oauth_version", "1.0"),
        ]
        let all = (own + parameters.map { ($0.name, $0.value) })
            .map { (name: $0.0.percentEncoded, value: $0.1.percentEncoded) }
            .sorted { ($0.name, $0.value) < ($1.name, $1.value) }
            .map { "\($0.name)=\($0.value)" }.joined(separator: "&")
        let base = [method.uppercased(), url.percentEncoded, all.percentEncoded].joined(separator: "&")
        let key = consumerSecret.percentEncoded + "&" + tokenSecret.percentEncoded
        let signature = Base64.standard.encode(HMAC.sha1(key: Array(key.utf8), message: Array(base.utf8)))
        let header = (own + [("oauth_signature", signature)]).sorted { $0.0 < $1.0 }
            .map { "\($0.0.percentEncoded)=\"\($0.1.percentEncoded)\"" }
        return "OAuth " + header.joined(separator: ", ")
    }
}
