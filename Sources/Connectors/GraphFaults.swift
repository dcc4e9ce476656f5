import Egress
import Foundation

/// What the error codes of Meta's Graph API mean for whoever sends; by code, with some subcodes, then by HTTP status.
///
/// https://developers.facebook.com/docs/graph-api/guides/error-handling and the pages of each product, as of November 2026.
enum GraphFaults {
    enum Class: Sendable, Equatable {
        case retry
        /// As `retry`, but only a few times: it may also mean that it will never work.
        case few
        /// Too many messages to this one person: they wait ever longer, nobody else does.
        case pair
        case pace, recipient, message, template, strangers, channel
    }

    /// How often `few` tries.
    static let few = 4

    static func whatsApp(code: Int64, subcode: Int64?, status: Int) -> Class {
        switch code {
        case 130_429: .pace
        case 131_056: .pair
        case 131_048, 131_064: .strangers
        case 131_000, 131_016, 133_004, 135_000: .few
        case 131_057: .retry
        case 131_026, 131_021, 131_030, 130_472, 131_049, 131_050, 130_497: .recipient
        case 131_047, 131_051, 131_008, 131_009, 131_052, 131_053, 131_062, 131_063, 137_000: .message
        case 132_000, 132_001, 132_005, 132_007, 132_008, 132_012, 132_015, 132_016, 132_068, 132_069: .template
        case 131_005, 131_031, 131_037, 131_042, 131_044, 131_045, 133_010: .channel
        default: common(code: code, status: status)
        }
    }

    static func messenger(code: Int64, subcode: Int64?, status: Int) -> Class {
        switch (code, subcode) {
        case (10, 2_018_278), (10, 2_018_065): .message
        case (10, 2_018_108), (551, _), (200, 1_545_041): .recipient
        case (100, 2_018_001): .recipient
        case (10, 1_893_063): .channel
        case (1200, _), (-1, _): .retry
        default: common(code: code, status: status)
        }
    }

    static func instagram(code: Int64, subcode: Int64?, status: Int) -> Class {
        switch (code, subcode) {
        case (10, 2_534_022): .message
        case (100, 2_534_014): .recipient
        default: messenger(code: code, subcode: subcode, status: status)
        }
    }

    private static func common(code: Int64, status: Int) -> Class {
        switch code {
        case 1, 2: .few
        case 4, 17, 32, 613, 80_000...80_014: .pace
        case 0, 3, 10, 102, 190, 200...299, 368: .channel
        case 33, 100, 506: .message
        default:
            // A code that isn't in any table: the status is all there is.
            switch status {
            case 429: .pace
            case 500...: .few
            case 401, 403: .channel
            default: .message
            }
        }
    }

    /// How long somebody waits who got too many messages: 6 s, then 4^n.
    static func pairPause(attempt: Int) -> Duration {
        .seconds(max(6, Int(pow(4, Double(min(max(attempt, 1), 5))))))
    }
}

/// Calls of the Graph API, and what its answers come to.
struct GraphAPI: Sendable {
    let providers: Providers
    let token: String

    /// The end of a send; `nil` for an answer that says yes, whose `json` then has the id.
    func refusal(
        _ answer: ProviderAnswer,
        attempt: Int,
        by classify: (_ code: Int64, _ subcode: Int64?, _ status: Int) -> GraphFaults.Class
    ) -> SendResult? {
        let after = answer.pause(now: providers.now())
        guard let error = answer.json?["error"], let code = error["code"]?.integer else {
            return (200..<300).contains(answer.status) ? nil : SendResult(status: answer.status, after: after)
        }
        let subcode = error["error_subcode"]?.integer
        let words =
            error["error_data"]?["details"]?.string ?? error["error_user_msg"]?.string ?? error["message"]?.string
            ?? "The provider gave no reason."
        let trace = error["fbtrace_id"]?.string.map { " (fbtrace_id \($0))" } ?? ""
        let fault = SendFault(subcode.map { "\(code)/\($0)" } ?? "\(code)", words.asExplanation + trace)
        var kind = classify(code, subcode, answer.status)
        if error["is_transient"]?.isTrue == true, kind != .pace { kind = .few }
        return switch kind {
        case .retry: .retry(after: after, fault)
        case .few: attempt < GraphFaults.few ? .retry(after: after, fault) : .message(fault)
        case .pair: .retry(after: max(after ?? .zero, GraphFaults.pairPause(attempt: attempt)), fault)
        case .pace: .pace(after: after ?? Self.timeToRegainAccess(answer), fault)
        case .recipient: .recipient(fault)
        case .message: .message(fault)
        case .template: .template(fault)
        case .strangers: .strangers(fault)
        case .channel: .channel(fault)
        }
    }

    func post(_ path: String, _ body: JSONValue, base: String? = nil) async throws(CallFault) -> ProviderAnswer {
        try await providers.call("POST", address(path, base), headers: authorisation, body: body)
    }

    func get(_ path: String, base: String? = nil) async throws(CallFault) -> ProviderAnswer {
        try await providers.call("GET", address(path, base), headers: authorisation)
    }

    private func address(_ path: String, _ base: String?) -> String {
        "\(base ?? providers.graph)/\(providers.graphVersion)/\(path)"
    }

    private var authorisation: [(name: String, value: String)] { [("Authorization", "Bearer \(token)")] }

    // MARK: Usage

    /// From which share of a limit on, in percent, the channel slows down.
    private static let strain = 80.0

    /// Whether the app or the account has used up most of one of its limits.
    static func isStrained(_ answer: ProviderAnswer) -> Bool {
        usages(answer).contains { usage in
            ["call_count", "total_time", "total_cputime"].contains { (usage[$0]?.double ?? 0) >= strain }
        }
    }

    /// The longest that one of the limits says.
    static func timeToRegainAccess(_ answer: ProviderAnswer) -> Duration? {
        let minutes = usages(answer).compactMap { $0["estimated_time_to_regain_access"]?.integer }.max()
        return minutes.flatMap { $0 > 0 ? .seconds(min($0, 1440) * 60) : nil }
    }

    private static func usages(_ answer: ProviderAnswer) -> [JSONValue] {
        func object(_ name: String) -> JSONValue? { answer.header(name).flatMap { JSONValue(body: Array($0.utf8)) } }
        var usages = ["x-app-usage", "x-page-usage"].compactMap(object)
        if case .object(let accounts)? = object("x-business-use-case-usage") {
            usages += accounts.values.flatMap(\.elements)
        }
        return usages
    }
}

extension JSONValue {
    /// A number, whole or not.
    var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .string(let value): Double(value)
        default: nil
        }
    }
}
