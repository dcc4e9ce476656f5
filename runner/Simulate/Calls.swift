import Foundation
package import Functions

/// A request to a simulated provider.
package struct SimulatedCall: Sendable {
    let method: String
    /// Decoded, without the query.
    let path: String
    let authorization: String?
    let body: [UInt8]

    package init(method: String, path: String, authorization: String?, body: [UInt8]) {
        self.method = method
        self.path = path
        self.authorization = authorization
        self.body = body
    }
}

/// What a simulated provider does with a request.
package enum SimulatedReply: Sendable, Equatable {
    case answer(status: Int, headers: [String: String], body: JSON)
    case file([UInt8], type: String)
    /// The connection is cut.
    case cut

    static func json(_ status: Int, _ body: JSON, _ headers: [String: String] = [:]) -> SimulatedReply {
        .answer(status: status, headers: headers, body: body)
    }
}

/// What a request is about.
enum SimulatedRequest: Equatable {
    case send(Provider, to: String)
    /// Something that is answered and has no effect.
    case other(SimulatedReply)
    case lookUpPicture(String)
    /// A step of giving X a file: `initialize`, or the file's id; `nil` asks how it is.
    case upload(String?)
    case picture
    case sentTo(Provider, String)
    case unknown

    /// Takes the address apart as the providers' own documents have it.
    init(_ call: SimulatedCall, _ body: JSON) {
        let parts = call.path.split(separator: "/").map(String.init)
        let done: JSON = ["success": true]
        switch (call.method, parts.first, parts.count) {
        case ("GET", "pictures"?, 2): self = .picture
        case ("POST", "2"?, 5) where parts[1] == "dm_conversations" && parts[2] == "with" && parts[4] == "messages":
            self = .send(.twitter, to: parts[3])
        case ("GET", "2"?, 5) where parts[1] == "dm_conversations" && parts[4] == "dm_events":
            self = .sentTo(.twitter, parts[3])
        case (_, "2"?, 3...5) where parts[1] == "media" && parts[2] == "upload":
            self = .upload(parts.dropFirst(3).first)
        case ("POST", "2"?, 3) where parts[1] == "oauth2", ("POST", "oauth"?, 3):
            self = .other(
                .json(200, ["access_token": .string(Provider.token), "expires_in": 7200, "token_type": "bearer"])
            )
        case ("GET", "refresh_access_token"?, 1):
            self = .other(.json(200, ["access_token": .string(Provider.token), "expires_in": 5_184_000]))
        case ("POST", "rest"?, 4) where parts[1] == "socialActions" && parts[3] == "comments":
            self = .send(.linkedin, to: parts[2])
        case ("GET", _, 2) where Picture.isId(parts[1]): self = .lookUpPicture(parts[1])
        case ("GET", _, 3) where parts[2] == "message_templates": self = .other(.json(200, ["data": Self.templates]))
        case ("POST", _, 3) where parts[2] == "messages":
            switch parts[1] {
            case Provider.whatsapp.account:
                guard body.given("type") != nil else {
                    self = .other(.json(200, done))
                    return
                }
                self = .send(.whatsapp, to: (body["to"] ?? body["recipient"])?.string ?? "")
            case Provider.facebook.account, Provider.instagram.account:
                let provider: Provider = parts[1] == Provider.facebook.account ? .facebook : .instagram
                let person = body["recipient"]?["id"]?.string ?? ""
                guard body.given("message") != nil else {
                    self = .other(.json(200, ["recipient_id": .string(person)]))
                    return
                }
                self = .send(provider, to: person)
            default: self = .unknown
            }
        case ("GET", _, 3) where parts[2] == "conversations": self = .sentTo(.instagram, "")
        default: self = .unknown
        }
    }

    private static let templates: JSON = [
        [
            "id": "1", "name": "order_update", "language": "en_US", "status": "APPROVED", "category": "UTILITY",
            "components": [["type": "BODY", "text": "Hello {{1}}, your order is on its way."]],
        ]
    ]
}

extension Provider {
    /// The words of a message that is sent.
    func text(of body: JSON) -> String {
        switch self {
        case .whatsapp:
            body["text"]?["body"]?.string ?? body[body["type"]?.string ?? ""]?["caption"]?.string
                ?? body["template"]?["name"]?.string ?? ""
        case .facebook, .instagram, .linkedin: body["message"]?["text"]?.string ?? ""
        case .twitter: body["text"]?.string ?? (body.given("attachments") == nil ? "" : "https://t.co/picture")
        }
    }

    func memo(of body: JSON) -> String? {
        switch self {
        case .whatsapp: body["biz_opaque_callback_data"]?.string
        case .facebook: body["message"]?["metadata"]?.string
        case .instagram, .twitter, .linkedin: nil
        }
    }

    /// The answer to a message that was accepted.
    func accepted(_ sent: SentMessage) -> SimulatedReply {
        switch self {
        case .whatsapp:
            .json(
                200,
                [
                    "messaging_product": "whatsapp",
                    "contacts": [["input": .string(sent.to), "wa_id": .string(sent.to.filter(\.isNumber))]],
                    "messages": [["id": .string(sent.id), "message_status": "accepted"]],
                ]
            )
        case .facebook, .instagram: .json(200, ["recipient_id": .string(sent.to), "message_id": .string(sent.id)])
        case .twitter:
            .json(
                201,
                ["data": ["dm_conversation_id": .string("\(account)-\(sent.to)"), "dm_event_id": .string(sent.id)]]
            )
        case .linkedin:
            .json(
                201,
                [
                    "id": .string(Self.commentNumber(sent.id)), "commentUrn": .string(sent.id),
                    "actor": .string(account),
                    "message": ["attributes": [], "text": .string(sent.text)], "object": .string(Self.post),
                ],
                ["x-restli-id": Self.commentNumber(sent.id)]
            )
        }
    }

    static func comment(_ number: String) -> String { "urn:li:comment:(\(post),\(number))" }

    private static func commentNumber(_ urn: String) -> String {
        urn.split(separator: ",").last.map { String($0.dropLast()) } ?? ""
    }

    /// What a busy provider fails with: calls that may be tried again.
    var usualFailures: [SimulatedFailure] {
        switch self {
        case .whatsapp: [.code(131_000), .code(131_016), .code(130_429)]
        case .facebook, .instagram: [.code(1200), .code(2), .code(613)]
        case .twitter, .linkedin: [.code(500), .code(429)]
        }
    }

    /// The answer to a message that fails, in the provider's words.
    func refusal(_ failure: SimulatedFailure) -> SimulatedReply {
        switch failure {
        case .cut, .lost: return .cut
        case .status(let status): return .answer(status: status, headers: [:], body: .null)
        case .code(let code):
            switch self {
            case .whatsapp, .facebook, .instagram:
                let error: JSON = [
                    "message": .string("(#\(code)) Simulated"), "type": "OAuthException", "code": .number("\(code)"),
                    "is_transient": .bool([1, 2, 1200].contains(code)), "fbtrace_id": "simulated",
                ]
                let status = [131_000, 131_016, 1, 2].contains(code) ? 500 : code == 190 ? 401 : 400
                return .json(status, ["error": error])
            case .twitter:
                var headers: [String: String] = [:]
                if code == 429 || code == 88 {
                    headers["x-rate-limit-reset"] = String(Int(Date().timeIntervalSince1970) + 1)
                }
                let problem: JSON = [
                    "title": "Simulated", "detail": "Simulated", "type": "about:blank", "status": .number("\(code)"),
                ]
                return .json((400...599).contains(code) ? code : 400, problem, headers)
            case .linkedin:
                let body: JSON = ["message": "Simulated", "status": .number("\(code)")]
                return .json((400...599).contains(code) ? code : 400, body)
            }
        }
    }

    /// The answer to whoever doesn't prove who they are.
    var unauthorised: SimulatedReply {
        switch self {
        case .whatsapp, .facebook, .instagram: refusal(.code(190))
        case .twitter:
            .json(401, ["title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"])
        case .linkedin:
            .json(
                401,
                [
                    "serviceErrorCode": 65600, "code": "INVALID_ACCESS_TOKEN", "message": "Invalid access token",
                    "status": 401,
                ]
            )
        }
    }
}
