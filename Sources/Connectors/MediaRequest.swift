package import Foundation
import Security

/// How the file of a received attachment is asked for.
package enum MediaRequest: Sendable, Equatable {
    /// The provider is asked where the file lies, which it tells for some minutes; both take the token.
    case lookUp(address: String, token: String)
    /// It lies at an address that the webhook told; `authorisation` is the header's value, where it is shown to the account alone.
    case file(address: String, authorisation: String?)
    /// It can't be asked for, for good; the text is for people.
    case impossible(String)

    /// For a channel of this kind: `url` is as the webhook told it, `media` the provider's description of the file as JSON text,
    /// where it came with one, and `graph` Meta's address with the version, `https://graph.facebook.com/v25.0`. A signed request is
    /// good for some minutes around `now`.
    package init(kind: String, url: String?, media: String?, account: ChannelAccount, graph: String, now: Date) {
        // What can't be read describes nothing.
        let media = media.flatMap { JSONValue(body: Array($0.utf8)) }
        if kind == "whatsapp" {
            // The address in newer webhooks lives for minutes only, the id for a week.
            guard let id = media?["id"]?.id,
                let part = id.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
            else {
                self = .impossible("WhatsApp named no file.")
                return
            }
            guard let token = account.credentials["accessToken"] else {
                self = .impossible("The channel has no access token.")
                return
            }
            self = .lookUp(address: "\(graph)/\(part)", token: token)
        } else if kind == "twitter", let photo = media?["media_url_https"]?.string, TwitterConnector.isPrivate(photo) {
            guard account.credentials["accessTokenSecret"] != nil else {
                self = .impossible(
                    "X shows the file to tokens of OAuth 1.0a alone, and the channel has none: open it there."
                )
                return
            }
            let header = TwitterConnector.authorisation(account, "GET", photo, now: now)
            self = .file(address: photo, authorisation: header.value)
        } else if let url, url.hasPrefix("https://") || url.hasPrefix("http://") {
            self = .file(address: url, authorisation: nil)
        } else {
            self = .impossible("The provider shows the file to the account alone: open it there.")
        }
    }

    /// How long the provider keeps the file, so that it is worth trying again.
    package static func kept(by kind: String) -> Duration {
        kind == "whatsapp" ? .seconds(7 * 86_400) : .seconds(86_400)
    }

    /// What the webhook said of the file's digest.
    package static func digest(in media: String?) -> [UInt8]? {
        media.flatMap { JSONValue(body: Array($0.utf8)) }?["sha256"]?.string.flatMap { Base64.standard.decode($0) }
    }
}

/// What Meta answers when it is asked where a file lies.
package struct MediaLocation: Sendable, Equatable {
    package let address: String
    package let mimeType: String?
    package let digest: [UInt8]?
    /// In bytes.
    package let size: Int?

    /// `nil` for an answer that tells no address.
    package init?(_ body: [UInt8]) {
        guard let body = JSONValue(body: body), let address = body["url"]?.string else { return nil }
        self.address = address
        mimeType = body["mime_type"]?.string
        digest = body["sha256"]?.string.flatMap { Hex.decode($0) }
        size = body["file_size"]?.integer.map { Int($0) }
    }

    /// Whether an error of Meta's says that there is no such file any more.
    package static func isGone(status: Int, _ body: [UInt8]) -> Bool {
        let code = JSONValue(body: body)?["error"]?["code"]?.integer
        // 100 is a parameter that is wrong: the id is the only one.
        return status == 404 || status == 410 || code == 100 || code == 131_052
    }
}
