import Foundation
import Security

@testable import Connectors

/// Testing has an Attachment of its own.
typealias Enclosure = Attachment

/// The accounts that Tests/Fixtures speaks of.
enum Accounts {
    static let secret = "an app secret of the tests"

    static func credentials(of kind: String) -> [String: String] {
        switch kind {
        case "whatsapp":
            [
                "accessToken": "t", "appSecret": secret, "verifyToken": "a verify token",
                "phoneNumberId": "300100200101", "businessAccountId": "300100200100",
            ]
        case "facebook":
            ["pageAccessToken": "t", "appSecret": secret, "verifyToken": "a verify token", "pageId": "700100200300"]
        case "instagram":
            [
                "accessToken": "t", "appSecret": secret, "verifyToken": "a verify token",
                "accountId": "17840000000000001",
            ]
        case "twitter":
            ["consumerKey": "k", "consumerSecret": secret, "userId": "5550000001", "accessToken": "t"]
        case "linkedin":
            [
                "clientId": "c", "clientSecret": secret, "accessToken": "t",
                "organizationUrn": "urn:li:organization:4004001",
            ]
        default: [:]
        }
    }
}

extension ChannelAccount {
    static func test(_ kind: String) -> ChannelAccount {
        ChannelAccount(channel: UUID(), settings: Array("{}".utf8), credentials: Accounts.credentials(of: kind))
    }
}

extension Webhook {
    /// As the provider would send it.
    static func signed(_ body: [UInt8], for kind: String) -> Webhook {
        let key = Array(Accounts.secret.utf8)
        let header: (String, String) =
            switch kind {
            case "twitter":
                (
                    "x-twitter-webhooks-signature",
                    "sha256=" + Base64.standard.encode(HMAC.sha256(key: key, message: body))
                )
            case "linkedin":
                ("x-li-signature", Hex.encode(HMAC.sha256(key: key, message: Array("hmacsha256=".utf8) + body)))
            default: ("x-hub-signature-256", "sha256=" + Hex.encode(HMAC.sha256(key: key, message: body)))
            }
        return Webhook(headers: [header], body: body)
    }
}
