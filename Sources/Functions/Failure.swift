import JSON

/// What went wrong in words that the caller can act on; the host turns it into a status and problem+json.
///
/// Anything else that a function throws is ours: 500 with the request id and no detail.
package struct Failure: Error, Sendable, Equatable {
    /// One fault of the input: where it is, and a message that completes a sentence about it.
    package struct Fault: Sendable, Equatable {
        package enum Place: Sendable, Equatable {
            /// A JSON pointer (RFC 6901) into the body; the empty one is the whole body.
            case body(String)
            /// The name of a query parameter.
            case query(String)
            /// The name of a request header.
            case header(String)
        }

        package let place: Place
        package let message: String

        package init(_ place: Place, _ message: String) {
            self.place = place
            self.message = message
        }
    }

    package let status: Int
    package let detail: String
    package let faults: [Fault]
    /// Seconds after which it is worth trying again, as `Retry-After`.
    package let retryAfter: Int?
    /// What else the answer's head has to tell.
    package let headers: [String: String]

    package init(
        status: Int,
        detail: String,
        faults: [Fault] = [],
        retryAfter: Int? = nil,
        headers: [String: String] = [:]
    ) {
        self.status = status
        self.detail = detail
        self.faults = faults
        self.retryAfter = retryAfter
        self.headers = headers
    }

    /// 400: the body can't be read at all.
    package static func unreadable(_ detail: String) -> Failure { Failure(status: 400, detail: detail) }

    /// 401: who asks isn't known, or no longer.
    package static func unauthorized(_ detail: String) -> Failure { Failure(status: 401, detail: detail) }

    /// 403: who asks may not.
    package static func forbidden(_ detail: String) -> Failure { Failure(status: 403, detail: detail) }

    /// 404: "There is no such ticket." The same whether it never was or is another organisation's.
    package static func notFound(_ thing: String) -> Failure {
        Failure(status: 404, detail: "There is no such \(thing).")
    }

    /// 409: what is asked doesn't fit the present state.
    package static func conflict(_ detail: String) -> Failure { Failure(status: 409, detail: detail) }

    /// 422 with one fault of the body: `.invalid("/userId", "is not an active member")`.
    package static func invalid(_ pointer: String, _ message: String) -> Failure {
        invalid([Fault(.body(pointer), message)])
    }

    /// 422 with one fault of the query.
    package static func invalid(parameter: String, _ message: String) -> Failure {
        invalid([Fault(.query(parameter), message)])
    }

    /// 422 with every fault that was found.
    package static func invalid(_ faults: [Fault]) -> Failure {
        Failure(status: 422, detail: "The input is invalid.", faults: faults)
    }

    /// 429: too much, too fast.
    package static func tooMany(_ detail: String, retryAfter: Int) -> Failure {
        Failure(status: 429, detail: detail, retryAfter: retryAfter)
    }

    /// 503: something that we need is away; the caller should come again.
    package static func unavailable(_ detail: String, retryAfter: Int = 1) -> Failure {
        Failure(status: 503, detail: detail, retryAfter: retryAfter)
    }
}
