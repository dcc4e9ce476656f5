import Foundation
import Functions
import Security

/// What an endpoint and we sign and check deliveries by, as the Standard Webhooks scheme has it
/// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, version 1.0.0).
struct WebhookSecret: Sendable, Equatable {
    private let bytes: [UInt8]

    /// A new one of 32 random bytes.
    init() {
        bytes = randomBytes(32)
    }

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// As the receiver's library takes it.
    var text: String { "whsec_" + Base64.standard.encode(bytes) }

    /// The value of `webhook-signature` for one secret.
    func signature(id: String, timestamp: Int64, body: [UInt8]) -> String {
        let message = Array("\(id).\(timestamp).".utf8) + body
        return "v1," + Base64.standard.encode(HMAC.sha256(key: bytes, message: message))
    }

    /// Sealed for this endpoint alone.
    func sealed(for endpoint: WebhookEndpoint.ID, with sealed: Sealed) -> [UInt8] {
        sealed.seal(bytes, for: Self.context(endpoint))
    }

    static func open(_ bytes: [UInt8], of endpoint: WebhookEndpoint.ID, with sealed: Sealed) throws -> WebhookSecret {
        WebhookSecret(bytes: try sealed.open(bytes, for: context(endpoint)))
    }

    private static func context(_ endpoint: WebhookEndpoint.ID) -> String { "webhook_endpoint:\(endpoint)" }
}
