import Foundation
import Security
import TestSupport

/// A channel of a real kind, and what its provider would send to it.
struct SignedChannel: Sendable {
    static let kinds = ["whatsapp", "facebook", "instagram", "twitter", "linkedin"]
    private static let secret = "an app secret of the tests"

    let kind: String
    let id: String
    private let api: APIClient

    /// Connects the account that Tests/Fixtures speaks of.
    init(_ kind: String, of organisation: Organisation) async throws {
        let meta = ["appSecret": Self.secret, "verifyToken": "a verify token"]
        let credentials: [String: String] =
            switch kind {
            case "whatsapp":
                meta.merging([
                    "accessToken": "0123456789abcdef", "phoneNumberId": "300100200101",
                    "businessAccountId": "300100200100",
                ]) { $1 }
            case "facebook": meta.merging(["pageAccessToken": "0123456789abcdef", "pageId": "700100200300"]) { $1 }
            case "instagram":
                meta.merging(["accessToken": "0123456789abcdef", "accountId": "17840000000000001"]) { $1 }
            case "twitter":
                [
                    "consumerKey": "k", "consumerSecret": Self.secret, "userId": "5550000001",
                    "accessToken": "0123456789abcdef",
                ]
            default:
                [
                    "clientId": "c", "clientSecret": Self.secret, "accessToken": "0123456789abcdef",
                    "organizationUrn": "urn:li:organization:4004001",
                ]
            }
        let answer = try await organisation.api.post(
            "/orgs/\(organisation.id)/channels",
            ["type": kind, "name": "Line", "credentials": credentials]
        )
        guard answer.status == 201, let id = answer.string("id") else { throw UnexpectedAnswer(answer) }
        self.kind = kind
        self.id = id
        api = APIClient(base: organisation.api.base)
    }

    /// Posts these very bytes under a signature that holds.
    func post(_ body: [UInt8]) async throws -> APIClient.Answer {
        let key = Array(Self.secret.utf8)
        let (name, value): (String, String) =
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
        return try await api.send(
            "POST",
            "/webhook/\(id)",
            body: Data(body),
            headers: ["Content-Type": "application/json", name: value]
        )
    }

    /// A body of messages that one person wrote, one a second, as its provider batches them; each id and text ends in its number.
    func messages(_ count: Int, from person: String) throws -> [UInt8] {
        let start = 1_763_805_600
        let body: [String: Any]
        switch kind {
        case "whatsapp":
            let changes = (0..<count).map { number -> [String: Any] in
                [
                    "field": "messages",
                    "value": [
                        "messaging_product": "whatsapp", "metadata": ["phone_number_id": "300100200101"],
                        "contacts": [["profile": ["name": "Ada"], "wa_id": person]],
                        "messages": [
                            [
                                "from": person, "id": "wamid.\(person).\(number)", "timestamp": "\(start + number)",
                                "type": "text", "text": ["body": "message \(number)"],
                            ]
                        ],
                    ],
                ]
            }
            body = ["object": "whatsapp_business_account", "entry": [["id": "300100200100", "changes": changes]]]
        case "facebook", "instagram":
            let us = kind == "facebook" ? "700100200300" : "17840000000000001"
            let events = (0..<count).map { number -> [String: Any] in
                [
                    "sender": ["id": person], "recipient": ["id": us], "timestamp": (start + number) * 1000,
                    "message": ["mid": "m_\(person).\(number)", "text": "message \(number)"],
                ]
            }
            body = [
                "object": kind == "facebook" ? "page" : "instagram",
                "entry": [["id": us, "time": 1, "messaging": events]],
            ]
        case "twitter":
            let events = (0..<count).map { number -> [String: Any] in
                [
                    "type": "message_create", "id": "9\(person)\(1000 + number)",
                    "created_timestamp": "\((start + number) * 1000)",
                    "message_create": [
                        "target": ["recipient_id": "5550000001"], "sender_id": person,
                        "message_data": ["text": "message \(number)"],
                    ],
                ]
            }
            body = ["for_user_id": "5550000001", "direct_message_events": events]
        default:
            let notifications = (0..<count).map { number -> [String: Any] in
                [
                    "notificationId": number, "organizationalEntity": "urn:li:organization:4004001",
                    "action": "COMMENT",
                    "lastModifiedAt": (start + number) * 1000,
                    "decoratedGeneratedActivity": [
                        "comment": [
                            "entity": "urn:li:comment:(urn:li:activity:1,\(person)\(number))",
                            "owner": "urn:li:person:\(person)", "text": "message \(number)",
                        ]
                    ],
                ]
            }
            body = ["type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", "notifications": notifications]
        }
        return Array(try JSONSerialization.data(withJSONObject: body))
    }
}
