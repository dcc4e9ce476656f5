import Foundation
import Testing

@testable import Connectors

@Suite struct MediaRequestTests {
    private static let photo = "https://ton.twitter.com/1.1/ton/data/dm/1/2/a.jpg"

    private func request(_ credentials: [String: String], url: String? = nil, photo: String = photo) -> MediaRequest {
        MediaRequest(
            kind: "twitter",
            url: url,
            media: #"{"id_str": "1", "type": "photo", "media_url_https": "\#(photo)"}"#,
            account: ChannelAccount(channel: UUID(), settings: Array("{}".utf8), credentials: credentials),
            graph: "https://graph.facebook.com/v25.0",
            now: Date(timeIntervalSince1970: 1_795_000_000)
        )
    }

    @Test func whatXShowsToTheAccountAloneIsAskedForWithItsSignature() throws {
        let signed = request([
            "consumerKey": "ck", "consumerSecret": "cs", "accessToken": "at", "accessTokenSecret": "as",
        ])

        guard case .file(Self.photo, let authorisation?) = signed else {
            Issue.record("\(signed)")
            return
        }
        #expect(authorisation.hasPrefix("OAuth oauth_consumer_key=\"ck\", oauth_nonce=\""))
        #expect(authorisation.contains("oauth_timestamp=\"1795000000\", oauth_token=\"at\""))
    }

    @Test func aBearerTokenSeesNoPrivateFile() {
        let unsigned = request(["consumerKey": "ck", "consumerSecret": "cs", "accessToken": "at"])

        guard case .impossible(let reason) = unsigned else {
            Issue.record("\(unsigned)")
            return
        }
        #expect(reason.hasPrefix("X shows the file to tokens of OAuth 1.0a alone"))
    }

    @Test func nobodyElseGetsASignature() {
        let url = "https://pbs.twimg.com/a.jpg"
        let credentials = ["consumerKey": "ck", "consumerSecret": "cs", "accessToken": "at", "accessTokenSecret": "as"]

        #expect(request(credentials, url: url, photo: url) == .file(address: url, authorisation: nil))
        let near = "https://ton.twitter.com.evil.example/a.jpg"
        #expect(request(credentials, url: near, photo: near) == .file(address: near, authorisation: nil))
    }
}
