import Foundation
import Security
import TestSupport
import Testing

@testable import Connectors

/// The calls that connectors make, byte for byte where a provider looks.
@Suite struct SendingTests {
    private static let reference = "msg:0193a6f0-7c1e-7b7e-9d5e-0a1b2c3d4e5f"
    private static let comment = "urn:li:comment:(urn:li:activity:7100000000000000001,7100000000000000011)"

    struct Case: Sendable {
        let kind: String
        let message: OutboundMessage
        let path: String
        let body: String
        var credentials: [String: String] = [:]
        var authorisation = "Bearer t"
    }

    static let cases: [Case] = [
        Case(
            kind: "whatsapp",
            message: .test(text: "Grüße / 👍"),
            path: "/v25.0/300100200101/messages",
            body: """
                {"biz_opaque_callback_data":"\(reference)","messaging_product":"whatsapp","recipient_type":"individual",\
                "text":{"body":"Grüße / 👍","preview_url":false},"to":"+441632960111","type":"text"}
                """
        ),
        Case(
            kind: "whatsapp",
            message: .test(phone: nil, externalId: "US.20000000000000000007", replyTo: "wamid.FIRST+="),
            path: "/v25.0/300100200101/messages",
            body: """
                {"biz_opaque_callback_data":"\(reference)","context":{"message_id":"wamid.FIRST+="},\
                "messaging_product":"whatsapp","recipient":"US.20000000000000000007","recipient_type":"individual",\
                "text":{"body":"Yes, it is","preview_url":false},"type":"text"}
                """
        ),
        Case(
            kind: "whatsapp",
            message: .test(
                text: "Your invoice",
                attachments: [Enclosure(type: "file", url: "https://files.example/a.pdf", name: "a.pdf")]
            ),
            path: "/v25.0/300100200101/messages",
            body: """
                {"biz_opaque_callback_data":"\(reference)","document":{"caption":"Your invoice","filename":"a.pdf",\
                "link":"https://files.example/a.pdf"},"messaging_product":"whatsapp","recipient_type":"individual",\
                "to":"+441632960111","type":"document"}
                """
        ),
        Case(
            kind: "whatsapp",
            message: .test(
                text: "",
                template:
                    #"{"name":"parcel","language":"en_US","components":[{"type":"body","parameters":[{"type":"text","text":"Ada"}]}]}"#
            ),
            path: "/v25.0/300100200101/messages",
            body: """
                {"biz_opaque_callback_data":"\(reference)","messaging_product":"whatsapp","recipient_type":"individual",\
                "template":{"components":[{"parameters":[{"text":"Ada","type":"text"}],"type":"body"}],\
                "language":{"code":"en_US"},"name":"parcel"},"to":"+441632960111","type":"template"}
                """
        ),
        Case(
            kind: "facebook",
            message: .test(replyTo: "m_FIRST"),
            path: "/v25.0/700100200300/messages",
            body: """
                {"message":{"metadata":"\(reference)","text":"Yes, it is"},"messaging_type":"RESPONSE",\
                "recipient":{"id":"7000000000000001"},"reply_to":{"mid":"m_FIRST"}}
                """
        ),
        Case(
            kind: "facebook",
            message: .test(lastInboundAt: Providers.now.addingTimeInterval(-3 * 86_400)),
            path: "/v25.0/700100200300/messages",
            body: """
                {"message":{"metadata":"\(reference)","text":"Yes, it is"},"messaging_type":"MESSAGE_TAG",\
                "recipient":{"id":"7000000000000001"},"tag":"HUMAN_AGENT"}
                """
        ),
        Case(
            kind: "instagram",
            message: .test(text: "", attachments: [Enclosure(type: "image", url: "https://files.example/a.png")]),
            path: "/v25.0/700100200300/messages",
            body: """
                {"message":{"attachment":{"payload":{"url":"https://files.example/a.png"},"type":"image"},\
                "metadata":"\(reference)"},"messaging_type":"RESPONSE","recipient":{"id":"7000000000000001"}}
                """,
            credentials: ["pageId": "700100200300"]
        ),
        Case(
            kind: "instagram",
            message: .test(),
            path: "/instagram/v25.0/17840000000000001/messages",
            body: """
                {"message":{"metadata":"\(reference)","text":"Yes, it is"},"messaging_type":"RESPONSE",\
                "recipient":{"id":"7000000000000001"}}
                """,
            credentials: ["login": "instagram"]
        ),
        Case(
            kind: "twitter",
            message: .test(externalId: "5550000777"),
            path: "/2/dm_conversations/with/5550000777/messages",
            body: #"{"text":"Yes, it is"}"#
        ),
        Case(
            kind: "linkedin",
            message: .test(),
            path: "/rest/socialActions/"
                + "urn%3Ali%3Acomment%3A%28urn%3Ali%3Aactivity%3A7100000000000000001%2C7100000000000000011%29/comments",
            body: """
                {"actor":"urn:li:organization:4004001","message":{"text":"Yes, it is"},\
                "object":"urn:li:activity:7100000000000000001","parentComment":"\(comment)"}
                """
        ),
        Case(
            kind: "linkedin",
            message: .test(answering: "urn:li:share:7100000000000000002"),
            path: "/rest/socialActions/urn%3Ali%3Ashare%3A7100000000000000002/comments",
            body: """
                {"actor":"urn:li:organization:4004001","message":{"text":"Yes, it is"},\
                "object":"urn:li:share:7100000000000000002"}
                """
        ),
    ]

    @Test func sendsWhatTheProviderTakes() async throws {
        for example in Self.cases {
            let provider = try await StandInProvider()
            let account = ChannelAccount.test(example.kind, adding: example.credentials)

            _ = await Connectors.connector(for: example.kind)
                .send(example.message, through: account, at: .test(provider))

            let call = try #require(provider.calls.first)
            #expect(provider.calls.count == 1 && call.method == "POST")
            #expect(call.path == example.path)
            #expect(call.body == example.body)
            #expect(call.headers["authorization"] == example.authorisation)
            #expect(call.headers["content-type"] == "application/json")
            if example.kind == "linkedin" {
                #expect(call.headers["linkedin-version"] == "202610")
                #expect(call.headers["x-restli-protocol-version"] == "2.0.0")
            }
        }
    }

    /// A day after the contact's message a program may no longer write, a week after it nobody.
    @Test(arguments: [
        ("facebook", 1.5, false), ("instagram", 1.5, false), ("facebook", 7.5, true), ("instagram", 8, true),
    ])
    func asksNobodyOutsideTheWindow(_ kind: String, _ days: Double, _ isPersonal: Bool) async throws {
        let provider = try await StandInProvider()
        let message = OutboundMessage.test(
            lastInboundAt: Providers.now.addingTimeInterval(-days * 86_400),
            isPersonal: isPersonal
        )

        let report = await Connectors.connector(for: kind)
            .send(message, through: .test(kind), at: .test(provider))

        #expect(report.result.line == "message window_closed")
        #expect(provider.calls.isEmpty)
    }

    @Test(arguments: ["whatsapp", "facebook", "instagram", "twitter"])
    func failsWhoHasNoAddressThere(_ kind: String) async throws {
        let provider = try await StandInProvider()

        let report = await Connectors.connector(for: kind)
            .send(.test(phone: nil, externalId: nil), through: .test(kind), at: .test(provider))

        #expect(report.result.line == "recipient no_address")
        #expect(provider.calls.isEmpty)
    }

    @Test(arguments: ["one\\ntwo", "a\\tb", "a     b"])
    func refusesAVariableThatWhatsAppWouldRefuse(_ text: String) async throws {
        let provider = try await StandInProvider()
        let template =
            #"{"name":"a","language":"en","components":[{"type":"body","parameters":[{"type":"text","text":"\#(text)"}]}]}"#

        let report = await WhatsAppConnector()
            .send(.test(text: "", template: template), through: .test("whatsapp"), at: .test(provider))

        #expect(report.result.line == "message template_variable")
        #expect(provider.calls.isEmpty)
    }

    @Test func cutsAMessageIntoTheCallsThatItTakes() {
        let image = Enclosure(type: "image", url: "https://files.example/a.png")
        let audio = Enclosure(type: "audio", url: "https://files.example/a.mp3")
        func shapes(_ connector: any Connector, _ message: OutboundMessage) -> [String] {
            connector.parts(of: message).map { part in
                "\(part.text)|\(part.attachments.map(\.type).joined())|\(part.replyTo ?? "")|"
                    + part.reference.dropFirst(40)
            }
        }

        let both = OutboundMessage.test(text: "hi", attachments: [image, audio], replyTo: "q")
        #expect(shapes(WhatsAppConnector(), both) == ["hi|image|q|:1/2", "|audio||:2/2"])
        #expect(
            shapes(MessengerConnector(platform: .messenger), both) == ["hi||q|:1/3", "|image||:2/3", "|audio||:3/3"]
        )
        let long = OutboundMessage.test(text: String(repeating: "x", count: 1025), attachments: [image])
        #expect(WhatsAppConnector().parts(of: long).map(\.attachments.count) == [0, 1])
        #expect(shapes(WhatsAppConnector(), .test(text: "hi")) == ["hi|||"])
        #expect(shapes(TwitterConnector(), .test(text: "hi")) == ["hi|||"])
    }

    @Test func readsItsOwnReferences() {
        for message in MessengerConnector(platform: .messenger).parts(
            of: .test(text: "a", attachments: [Enclosure(type: "image", url: "https://a.example")])
        ) {
            let read = Meta.ours(message.reference)
            #expect(read?.id == message.id && read?.part == message.part)
        }
        for text in [
            "", "msg:", "msg:x", "0193a6f0-7c1e-7b7e-9d5e-0a1b2c3d4e5f", Self.reference + ":0/2",
            Self.reference + ":3/2",
        ] {
            #expect(Meta.ours(text) == nil, "\(text)")
        }
    }

    /// The example of X's documents on creating a signature, with what they say comes of it, and its base string in a tool apart.
    @Test func signsByOAuth1() {
        let signer = OAuth1(
            consumerKey: "xvz1evFS4wEEPTGEFPHBog",
            consumerSecret: "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
            token: "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
            tokenSecret: "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE"
        )

        let header = signer.authorisation(
            "post",
            "https://api.twitter.com/1.1/statuses/update.json",
            parameters: [
                ("include_entities", "true"), ("status", "Hello Ladies + Gentlemen, a signed OAuth request!"),
            ],
            nonce: "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
            timestamp: 1_318_622_958
        )

        #expect(header.contains(#"oauth_signature="hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D""#))
        #expect(header.hasPrefix(#"OAuth oauth_consumer_key="xvz1evFS4wEEPTGEFPHBog", oauth_nonce="#))
    }

    @Test func signsForAnAccountWithATokensSecret() async throws {
        let provider = try await StandInProvider()
        let account = ChannelAccount.test("twitter", adding: ["accessTokenSecret": "s"])

        _ = await TwitterConnector().send(.test(), through: account, at: .test(provider))

        let header = try #require(provider.calls.first?.headers["authorization"])
        #expect(header.hasPrefix("OAuth ") && header.contains(#"oauth_token="t""#))
    }

    @Test func exchangesTheRefreshTokenOfX() async throws {
        let provider = try await StandInProvider()
        let account = ChannelAccount.test(
            "twitter",
            adding: ["refreshToken": "r/1", "clientId": "c", "clientSecret": "s"]
        )

        let result = await TwitterConnector().refresh(account, at: .test(provider))

        #expect(result == .refreshed(["accessToken": "access-1", "refreshToken": "refresh-1"]))
        let call = try #require(provider.calls.first)
        #expect(call.path == "/2/oauth2/token")
        #expect(call.body == "grant_type=refresh_token&refresh_token=r%2F1&client_id=c")
        #expect(call.headers["authorization"] == "Basic " + Base64.standard.encode(Array("c:s".utf8)))
        #expect(call.headers["content-type"] == "application/x-www-form-urlencoded")
    }

    @Test func exchangesTheRefreshTokenOfLinkedIn() async throws {
        let provider = try await StandInProvider()
        let account = ChannelAccount.test("linkedin", adding: ["refreshToken": "r"])

        let result = await LinkedInConnector().refresh(account, at: .test(provider))

        #expect(result == .refreshed(["accessToken": "access-1", "refreshToken": "refresh-1"]))
        #expect(provider.calls.first?.path == "/oauth/v2/accessToken")
    }

    @Test(arguments: ["twitter", "linkedin"])
    func tellsARefusedExchangeFromOneThatMayWorkLater(_ kind: String) async throws {
        let provider = try await StandInProvider()
        let account = ChannelAccount.test(kind, adding: ["refreshToken": "r", "clientId": "c"])
        let connector = Connectors.connector(for: kind)
        try await provider.answer(
            #"{"status": 400, "body": {"error": "invalid_grant", "error_description": "Value passed was invalid."}}"#,
            #"{"status": 503, "body": ""}"#,
            #"{"cut": true}"#
        )

        let refused = await connector.refresh(account, at: .test(provider))
        let later = await connector.refresh(account, at: .test(provider))
        let cut = await connector.refresh(account, at: .test(provider))

        let words = "The provider gave no new access token: Value passed was invalid."
        #expect(refused == .refused(SendFault("refresh_refused", words)))
        guard case .failed = later, case .failed = cut else { Issue.record("\(later) \(cut)"); return }
        #expect(await connector.refresh(.test(kind), at: .test(provider)) == .impossible)
    }

    @Test func fetchesTemplatesPageByPageAndNeverByAGivenAddress() async throws {
        let provider = try await StandInProvider()
        try await provider.answer(
            """
            {"body": {"data": [{"name": "a", "language": "en_US", "status": "APPROVED", "category": "UTILITY",
             "components": [{"type": "BODY", "text": "Hi {{1}}"}]}],
             "paging": {"cursors": {"after": "c/1"}, "next": "http://elsewhere.invalid/"}}}
            """,
            #"{"body": {"data": [{"name": "b", "language": "de"}, {"name": 7}], "paging": {"cursors": {"after": "c2"}}}}"#
        )

        let templates = try await Templates.list(.test("whatsapp"), at: .test(provider)).get()

        #expect(templates.map(\.name) == ["a", "b"])
        #expect(String(decoding: templates[0].components, as: UTF8.self) == #"[{"text":"Hi {{1}}","type":"BODY"}]"#)
        #expect(
            provider.calls.map(\.path) == [
                "/v25.0/300100200100/message_templates?fields=name,language,status,category,components&limit=100",
                "/v25.0/300100200100/message_templates?fields=name,language,status,category,components&limit=100&after=c%2F1",
            ]
        )
    }
}

extension ChannelAccount {
    static func test(_ kind: String, adding credentials: [String: String]) -> ChannelAccount {
        ChannelAccount(
            channel: UUID(),
            settings: Array("{}".utf8),
            credentials: Accounts.credentials(of: kind).merging(credentials) { _, new in new }
        )
    }
}
