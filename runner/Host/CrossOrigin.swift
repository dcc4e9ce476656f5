import Foundation
import Functions
import HTTPTypes
import Hummingbird

/// Lets pages of the origins in `CORS_ORIGINS` call the API; off while that is unset.
///
/// By the Fetch standard's CORS protocol. Tokens travel in a header and never in cookies, so credentials are not allowed.
package struct CrossOrigin: Sendable {
    private let origins: Set<String>

    /// - Parameter origins: with commas, such as `https://app.example.com`; `*` is every one.
    package init(origins: String?) {
        self.origins = Set(
            (origins ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        )
    }

    /// What to add to the answer of a request from a page.
    func headers(_ request: Hummingbird.Request) -> [(name: String, value: String)] {
        let method = request.method == .options ? request.headers[.accessControlRequestMethod] : nil
        return headers(origin: request.headers[.origin], preflight: method)
    }

    /// The same for what those headers say; `preflight` is the method that an OPTIONS request asks for.
    package func headers(origin: String?, preflight method: String?) -> [(name: String, value: String)] {
        guard !origins.isEmpty else { return [] }
        let vary = ("Vary", "Origin")
        guard let origin, origins.contains("*") || origins.contains(origin) else {
            return [vary]
        }
        var headers = [
            vary, ("Access-Control-Allow-Origin", origins.contains("*") ? "*" : origin),
            (
                "Access-Control-Expose-Headers",
                "X-Request-Id, Retry-After, Idempotency-Replayed, Content-Disposition, Content-Range, ETag"
            ),
        ]
        guard let method else { return headers }
        headers += [
            ("Access-Control-Allow-Methods", method),
            ("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, X-Request-Id"),
            ("Access-Control-Max-Age", "600"),
        ]
        return headers
    }
}
