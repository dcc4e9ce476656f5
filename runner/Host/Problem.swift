import Foundation
package import Functions
import Logging
import Postgres
import Redis
import Security

/// The one place where what went wrong becomes a status and a problem document (RFC 9457).
package enum Problem {
    /// What a caller is told about `error`; faults of ours are logged by the caller of this function, never told.
    static func failure(for error: any Error) -> Failure {
        switch error {
        case let failure as Failure: failure
        case let error as PostgresError where error.sqlState == "DC401":
            .unauthorized("The session has ended, or the API key is no longer valid.")
        case let error as PostgresError where error.isUnavailable:
            .unavailable("The database can't be reached at the moment.")
        case let error as PostgresError where error.isTransient:
            .unavailable("The change met another one. Try again.")
        case let error as RedisError where error.isUnavailable:
            .unavailable("The queue can't be reached at the moment.")
        case PasswordError.busy:
            .unavailable("Too many log-ins at once. Try again.")
        case is DeadlineExceeded:
            .unavailable("The request took too long.")
        default:
            Failure(status: 500, detail: "Something went wrong on our side.")
        }
    }

    /// Whether `failure` is ours to look into.
    static func isOurs(_ failure: Failure) -> Bool { failure.status == 500 }

    package static func answer(_ failure: Failure, path: String, requestId: String) -> Answer {
        var writer = JSONWriter(capacity: 512)
        writer.object {
            $0.member("type", "about:blank")
            $0.member("title", title(failure.status))
            $0.member("status", failure.status)
            $0.member("detail", failure.detail)
            $0.member("instance", path)
            $0.member("requestId", requestId)
            guard !failure.faults.isEmpty else { return }
            $0.name("errors")
            $0.array {
                for fault in failure.faults {
                    $0.object {
                        switch fault.place {
                        case .body(let pointer): $0.member("pointer", pointer)
                        case .query(let name): $0.member("parameter", name)
                        case .header(let name): $0.member("header", name)
                        }
                        $0.member("message", fault.message)
                    }
                }
            }
        }
        var answer = Answer(status: failure.status, contentType: "application/problem+json", body: writer.bytes)
        if let seconds = failure.retryAfter { answer.headers.append(("Retry-After", String(seconds))) }
        answer.headers += failure.headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        if failure.status == 401 { answer.headers.append(("WWW-Authenticate", "Bearer")) }
        return answer
    }

    /// The registered phrase (RFC 9110 §15), as "about:blank" problems want it.
    private static func title(_ status: Int) -> String {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 416: "Range Not Satisfiable"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: "Internal Server Error"
        }
    }
}

/// A function ran longer than functions.yaml lets it.
struct DeadlineExceeded: Error {}
