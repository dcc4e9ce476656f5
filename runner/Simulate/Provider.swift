import Functions

/// A provider that is simulated, with the one account that it has there.
package enum Provider: String, CaseIterable, Sendable {
    case whatsapp, facebook, instagram, twitter, linkedin

    /// What our account is known by: a number's id, a page, an account, a user, an organisation.
    var account: String {
        switch self {
        case .whatsapp: "400100200301"
        case .facebook: "400100200302"
        case .instagram: "17841400100200303"
        case .twitter: "4001002004"
        case .linkedin: "urn:li:organization:4001002"
        }
    }

    static let business = "400100200300"
    /// Signs webhooks.
    static let secret = "simulated-app-secret"
    static let token = "simulated-access-token"
    static let verifyToken = "simulated-verify-token"

    /// The credentials of a channel that is connected to the simulated account.
    package var credentials: [(name: String, value: String)] {
        let meta = [("appSecret", Self.secret), ("verifyToken", Self.verifyToken)]
        return switch self {
        case .whatsapp:
            [("accessToken", Self.token)] + meta
                + [("phoneNumberId", account), ("businessAccountId", Self.business)]
        case .facebook: [("pageAccessToken", Self.token)] + meta + [("pageId", account)]
        case .instagram: [("accessToken", Self.token)] + meta + [("accountId", account), ("login", "instagram")]
        case .twitter:
            [
                ("consumerKey", "simulated-key"), ("consumerSecret", Self.secret), ("userId", account),
                ("accessToken", Self.token),
            ]
        case .linkedin:
            [
                ("clientId", "simulated-client"), ("clientSecret", Self.secret), ("accessToken", Self.token),
                ("organizationUrn", account),
            ]
        }
    }

    /// Who writes where nobody is named.
    var customer: String {
        switch self {
        case .whatsapp: "4915550001"
        case .facebook: "6745000000000001"
        case .instagram: "1254000000000001"
        case .twitter: "3001000001"
        case .linkedin: "urn:li:person:simulated1"
        }
    }

    /// The post that comments are on.
    static let post = "urn:li:activity:7094000000000000001"
}

/// What goes wrong with a call.
package enum SimulatedFailure: Sendable, Equatable {
    /// An error of the provider's, by its code.
    case code(Int)
    /// An answer of this status without the provider's own words, as a gateway gives it.
    case status(Int)
    /// The connection is cut before anything happened.
    case cut
    /// The message is accepted and the connection cut before that is told.
    case lost

    /// `cut`, `lost`, a status (`503`) or a code of the provider's (`131026`, `4`).
    package init?(_ text: String) {
        switch text {
        case "cut": self = .cut
        case "lost": self = .lost
        default:
            guard let number = Int(text) else { return nil }
            self = (400...599).contains(number) ? .status(number) : .code(number)
        }
    }
}

/// How well a simulated provider works.
package struct SimulatedBehaviour: Sendable {
    /// Which share of the sends fails, 0…1.
    package var failing = 0.0
    /// How they fail, each as likely as another; none means as providers do that are busy.
    package var failures: [SimulatedFailure] = []
    /// Each webhook about a message comes up to so much later.
    package var lateness = Duration.zero
    package var isDoubled = false
    /// Webhooks about a message come in any order.
    package var isShuffled = false

    package init() {}
}
