import Egress
import Foundation
import Logging
import TestSupport
import Testing

@testable import Connectors

/// Every answer under Tests/Fixtures with what a sender has to make of it.
@Suite struct AnswerTests {
    static let effects: [(file: String, result: String)] = [
        ("whatsapp/ok_text", "accepted wamid.OURS/1="),
        ("whatsapp/ok_template", "accepted wamid.OURS/1="),
        ("whatsapp/ok_template_held", "accepted wamid.OURS/1="),
        ("whatsapp/ok_bsuid", "accepted wamid.OURS/1="),
        // Answers to other calls: whoever gets them for a message has no id of it.
        ("whatsapp/ok_mark_read", "unanswered unreadable_answer"),
        ("whatsapp/ok_media_upload", "unanswered unreadable_answer"),
        ("whatsapp/ok_media_url", "unanswered unreadable_answer"),
        ("whatsapp/err_190_token", "channel 190"),
        ("whatsapp/err_10_permission", "channel 10"),
        ("whatsapp/err_100_param", "message 100"),
        ("whatsapp/err_4_app_rate", "pace 4 after 300 s"),
        ("whatsapp/err_80007_waba_rate", "pace 80007 after 300 s"),
        ("whatsapp/err_130429_throughput", "pace 130429"),
        ("whatsapp/err_131056_pair_rate", "retry 131056 after 6 s"),
        ("whatsapp/err_131048_spam", "strangers 131048"),
        ("whatsapp/err_131000_unknown", "retry 131000"),
        ("whatsapp/err_131016_unavailable", "retry 131016"),
        ("whatsapp/err_131026_undeliverable", "recipient 131026"),
        ("whatsapp/err_131030_not_allowed", "recipient 131030"),
        ("whatsapp/err_131047_window", "message 131047"),
        ("whatsapp/err_131031_locked", "channel 131031"),
        ("whatsapp/err_131042_payment", "channel 131042"),
        ("whatsapp/err_131062_bsuid", "message 131062"),
        ("whatsapp/err_132000_params", "template 132000"),
        ("whatsapp/err_132001_no_template", "template 132001"),
        ("whatsapp/err_132015_paused", "template 132015"),
        ("whatsapp/err_368_policy", "channel 368"),
        ("whatsapp/err_2_transient", "retry 2"),
        ("facebook/ok", "accepted m_OURS1"),
        ("facebook/ok_sender_action", "unanswered unreadable_answer"),
        ("facebook/err_10_2018278_window", "message 10/2018278"),
        ("facebook/err_551_unavailable", "recipient 551/1545041"),
        ("facebook/err_100_2018001_no_user", "recipient 100/2018001"),
        ("facebook/err_613_rate", "pace 613"),
        ("facebook/err_4_app_rate", "pace 4"),
        ("facebook/err_1200_temporary", "retry 1200"),
        ("facebook/err_2_transient", "retry 2"),
        ("facebook/err_190_token", "channel 190/463"),
        ("facebook/err_200_permission", "channel 200"),
        ("facebook/err_100_retired_tag", "message 100"),
        ("facebook/err_10_1893063_restricted", "channel 10/1893063"),
        ("instagram/ok", "accepted aWdfOURS1"),
        ("instagram/err_10_2534022_window", "message 10/2534022"),
        ("instagram/err_100_2534014_no_user", "recipient 100/2534014"),
        ("instagram/err_613_rate", "pace 613"),
        ("instagram/err_190_token", "channel 190"),
        ("instagram/err_100_length", "message 100"),
        ("twitter/ok", "accepted 1900000000000000001"),
        ("twitter/err_400_invalid", "message invalid-request"),
        ("twitter/err_401", "expired http_401"),
        ("twitter/err_403_not_permitted", "recipient http_403"),
        ("twitter/err_403_client", "channel client-forbidden"),
        ("twitter/err_429_problem", "pace http_429 after 900 s"),
        ("twitter/err_429_code88", "pace 88 after 900 s"),
        ("twitter/err_503", "retry http_503"),
        ("linkedin/ok_comment", "accepted urn:li:comment:(urn:li:activity:7100000000000000001,7100000000000000019)"),
        ("linkedin/err_401", "expired REVOKED_ACCESS_TOKEN"),
        ("linkedin/err_401_expired", "expired EXPIRED_ACCESS_TOKEN"),
        ("linkedin/err_403", "channel 100"),
        ("linkedin/err_404", "message http_404"),
        ("linkedin/err_426_version", "channel NONEXISTENT_VERSION"),
        // It is 10:05 UTC.
        ("linkedin/err_429", "pace TOO_MANY_REQUESTS after 50100 s"),
        ("linkedin/err_500", "retry http_500"),
    ]

    @Test func hasItsEffect() async throws {
        let provider = try await StandInProvider()
        for (file, expected) in Self.effects {
            let parts = file.split(separator: "/")
            let kind = String(parts[0])
            let path = "\(Checkout.root)/Tests/Fixtures/\(kind)/responses/\(parts[1]).json"
            try await provider.answer(try String(contentsOfFile: path, encoding: .utf8))

            let report = await Connectors.connector(for: kind)
                .send(.test(), through: .test(kind), at: .test(provider))

            #expect(report.result.line == expected, "\(file)")
        }
    }

    /// What no provider's own error came with.
    @Test(arguments: [
        (500, "unanswered http_500"), (502, "unanswered http_502"), (504, "unanswered http_504"),
        (429, "pace http_429 after 7 s"), (403, "channel http_403"), (302, "retry http_302 after 7 s"),
        (404, "message http_404"),
    ])
    func aGatewaysPageIsNoAnswer(_ status: Int, _ expected: String) async throws {
        let provider = try await StandInProvider()
        for kind in ["whatsapp", "facebook", "instagram", "twitter", "linkedin"] {
            try await provider.answer(
                #"{"status": \#(status), "headers": {"Retry-After": "7"}, "body": "<html>Bad gateway</html>"}"#
            )

            let report = await Connectors.connector(for: kind)
                .send(.test(), through: .test(kind), at: .test(provider))

            #expect(report.result.line == expected, "\(kind)")
        }
    }

    @Test(arguments: [
        ("whatsapp", "channel"), ("facebook", "channel"), ("twitter", "expired"), ("linkedin", "expired"),
    ])
    func aTokenIsExchangedWhereThatCanBe(_ kind: String, _ expected: String) async throws {
        let provider = try await StandInProvider()
        try await provider.answer(#"{"status": 401, "body": ""}"#)

        let report = await Connectors.connector(for: kind).send(.test(), through: .test(kind), at: .test(provider))

        #expect(report.result.line == "\(expected) http_401")
    }

    @Test func tellsWhatNeverLeftFromWhatNobodyKnows() async throws {
        let provider = try await StandInProvider()
        for kind in ["whatsapp", "facebook", "instagram", "twitter", "linkedin"] {
            let connector = Connectors.connector(for: kind)
            try await provider.answer(#"{"cut": true}"#)
            let cut = await connector.send(.test(), through: .test(kind), at: .test(provider))
            // Nobody listens there.
            let port = try FreePort.find()
            let refused = await connector.send(
                .test(),
                through: .test(kind),
                at: .test(url: "http://127.0.0.1:\(port)")
            )
            let nowhere = await connector.send(.test(), through: .test(kind), at: .test(url: "http://nowhere.invalid"))

            #expect(cut.result.line == "unanswered unanswered", "\(kind)")
            #expect(refused.result.line == "retry unreachable", "\(kind)")
            #expect(nowhere.result.line == "retry unreachable", "\(kind)")
        }
        #expect(provider.calls.count == 5)
    }

    @Test(arguments: [
        (#"{"X-App-Usage": "{\"call_count\": 79, \"total_time\": 12.5, \"total_cputime\": 3}"}"#, false),
        (#"{"X-App-Usage": "{\"call_count\": 80, \"total_time\": 1, \"total_cputime\": 1}"}"#, true),
        (#"{"X-App-Usage": "{\"call_count\": 1, \"total_time\": 1, \"total_cputime\": 99.5}"}"#, true),
        (#"{"X-Business-Use-Case-Usage": "{\"1\": [{\"type\": \"whatsapp\", \"call_count\": 81}]}"}"#, true),
        (#"{"X-Business-Use-Case-Usage": "{\"1\": [{\"type\": \"whatsapp\", \"call_count\": 8}]}"}"#, false),
        (#"{"X-App-Usage": "no JSON"}"#, false),
    ])
    func seesALimitComing(_ headers: String, _ isStrained: Bool) async throws {
        let provider = try await StandInProvider()
        try await provider.answer(
            #"{"status": 200, "headers": \#(headers), "body": {"messages": [{"id": "wamid.1"}]}}"#
        )

        let report = await WhatsAppConnector().send(.test(), through: .test("whatsapp"), at: .test(provider))

        #expect(report.isStrained == isStrained)
    }

    @Test func keepsTheOtherSpellingOfANumber() async throws {
        let provider = try await StandInProvider()
        try await provider.answer(
            #"{"body": {"contacts": [{"input": "+5541999990000", "wa_id": "554199990000"}], "messages": [{"id": "wamid.1"}]}}"#
        )

        let message = OutboundMessage.test(phone: "+5541999990000")
        let report = await WhatsAppConnector().send(message, through: .test("whatsapp"), at: .test(provider))

        #expect(report.alias == Sender(phone: "+554199990000"))
    }
}

extension Providers {
    /// Fifteen minutes before X's limit is reset, and five after the contact wrote.
    static let now = Date(timeIntervalSince1970: 1_763_805_900)

    static func test(_ provider: StandInProvider) -> Providers { test(url: provider.url) }

    static func test(url: String) -> Providers {
        Providers(
            client: ProviderClient(logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })),
            now: { now }
        ) { name in
            switch name {
            case "INSTAGRAM_GRAPH_URL": url + "/instagram"
            case "META_GRAPH_VERSION": "v25.0"
            case "LINKEDIN_VERSION": "202610"
            default: url
            }
        }
    }
}

extension OutboundMessage {
    static func test(
        attempt: Int = 1,
        phone: String? = "+441632960111",
        externalId: String? = "7000000000000001",
        text: String = "Yes, it is",
        attachments: [Enclosure] = [],
        template: String? = nil,
        replyTo: String? = nil,
        answering: String? = "urn:li:comment:(urn:li:activity:7100000000000000001,7100000000000000011)",
        lastInboundAt: Date? = Date(timeIntervalSince1970: 1_763_805_600),
        isPersonal: Bool = true
    ) -> OutboundMessage {
        OutboundMessage(
            id: UUID(uuidString: "0193A6F0-7C1E-7B7E-9D5E-0A1B2C3D4E5F") ?? UUID(),
            attempt: attempt,
            recipient: Recipient(phone: phone, handle: nil, externalId: externalId),
            text: text,
            attachments: attachments,
            template: template.map { Array($0.utf8) },
            replyTo: replyTo,
            answering: answering.map { Answered(externalId: $0, metadata: nil) },
            lastInboundAt: lastInboundAt,
            isPersonal: isPersonal
        )
    }
}

extension SendResult {
    /// Its class, code and pause.
    var line: String {
        func line(_ word: String, _ fault: SendFault, _ after: Duration? = nil) -> String {
            "\(word) \(fault.code)" + (after.map { " after \($0.components.seconds) s" } ?? "")
        }
        return switch self {
        case .accepted(let id, let isDelivered): "accepted \(id)" + (isDelivered ? " delivered" : "")
        case .retry(let after, let fault): line("retry", fault, after)
        case .pace(let after, let fault): line("pace", fault, after)
        case .recipient(let fault): line("recipient", fault)
        case .message(let fault): line("message", fault)
        case .template(let fault): line("template", fault)
        case .strangers(let fault): line("strangers", fault)
        case .expired(let fault): line("expired", fault)
        case .channel(let fault): line("channel", fault)
        case .unanswered(let fault): line("unanswered", fault)
        }
    }
}
