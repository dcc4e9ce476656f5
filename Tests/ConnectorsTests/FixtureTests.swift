import Foundation
import TestSupport
import Testing

@testable import Connectors

/// Every body under Tests/Fixtures with what has to come of it.
@Suite struct FixtureTests {
    static let effects: [(file: String, events: [String])] = [
        ("whatsapp/text", ["message of +441632960111 (Ada Byron): Is it in stock?"]),
        ("whatsapp/text_from_ad", ["message of +441632960111 (Ada Byron): Is this still available? {referral}"]),
        ("whatsapp/text_reply_context", ["message of +441632960111 (Ada Byron): Yes, the green one > wamid.OURS/1="]),
        ("whatsapp/text_forwarded", ["message of +441632960111 (Ada Byron): forwarded text {forwarded}"]),
        (
            "whatsapp/text_bsuid_username",
            ["message of US.20000000000000000007 @ada.b (Ada Byron): hello from a username"]
        ),
        (
            "whatsapp/image_caption",
            ["message of +441632960111 (Ada Byron): The box was open 😕 [image image/jpeg] {media}"]
        ),
        ("whatsapp/audio_voice", ["message of +441632960111 (Ada Byron): [audio audio/ogg; codecs=opus] {media}"]),
        ("whatsapp/video", ["message of +441632960111 (Ada Byron): [video video/mp4] {media}"]),
        (
            "whatsapp/document",
            ["message of +441632960111 (Ada Byron): signed [file application/pdf contract.pdf] {media}"]
        ),
        ("whatsapp/sticker_animated", ["message of +441632960111 (Ada Byron): [sticker image/webp] {media}"]),
        (
            "whatsapp/location",
            [
                "message of +441632960111 (Ada Byron): [location https://maps.google.com/?cid=2000000000000000000 "
                    + "Facebook HQ, 1 Hacker Way, Menlo Park, CA 94025] {location}"
            ]
        ),
        (
            "whatsapp/contacts",
            [
                "message of +441632960111 (Ada Byron): [contact tel:+15555555555 Chandler Bing] "
                    + "[contact tel:+16666666666 Monica] {contacts}"
            ]
        ),
        ("whatsapp/reaction", ["reaction of +441632960111 to wamid.OURS/1= 👍"]),
        ("whatsapp/reaction_removed", ["reaction of +441632960111 to wamid.OURS/1="]),
        (
            "whatsapp/interactive_button_reply",
            ["message of +441632960111 (Ada Byron): Cancel order > wamid.OURS/1= {interactive}"]
        ),
        (
            "whatsapp/interactive_list_reply",
            ["message of +441632960111 (Ada Byron): Priority Mail Express > wamid.OURS/1= {interactive}"]
        ),
        (
            "whatsapp/interactive_flow_reply",
            ["message of +441632960111 (Ada Byron): Sent > wamid.OURS/1= {interactive}"]
        ),
        (
            "whatsapp/template_quick_reply",
            ["message of +441632960111 (Ada Byron): Unsubscribe > wamid.OURS/1= {button}"]
        ),
        (
            "whatsapp/order",
            [
                "message of +441632960111 (Ada Byron): [unsupported order, 2 × di9ozbzfi4, 1 × nqryix03ez] {order}"
            ]
        ),
        ("whatsapp/unsupported", ["message of +441632960111 (Ada Byron): [unsupported]"]),
        ("whatsapp/system_changed_number", ["identity of +441632960111 becomes +441632960222"]),
        ("whatsapp/edit", ["edit of +441632960111 to wamid.FIRST+= number 1763805600: Is it in stock now?"]),
        ("whatsapp/revoke", ["unsend of +441632960111 to wamid.FIRST+="]),
        (
            "whatsapp/status_sent",
            ["status to wamid.OURS/1= sent, ours 0193A6F0-7C1E-7B7E-9D5E-0A1B2C3D4E5F"]
        ),
        ("whatsapp/status_delivered", ["status to wamid.OURS/1= delivered"]),
        ("whatsapp/status_read", ["status to wamid.OURS/1= read"]),
        ("whatsapp/status_failed_131047", ["status to wamid.OURS/1= failed 131047"]),
        ("whatsapp/status_failed_131026", ["status to wamid.OURS/1= failed 131026"]),
        ("whatsapp/status_failed_131049", ["status to wamid.OURS/1= failed 131049"]),
        (
            "whatsapp/batch",
            [
                "message of +441632960111 (Ada Byron): first",
                "message of +4930901820 (Zoë Åberg): second, from Jörg",
                "status to wamid.OURS/1= delivered", "status to wamid.OURS/2= sent",
            ]
        ),
        ("whatsapp/echo_from_phone_app", ["echo of +441632960111 to wamid.PHONE=: Answered from the phone"]),
        ("whatsapp/user_preferences_stop", ["preference of +441632960111 out true"]),
        ("whatsapp/template_rejected", []),
        ("whatsapp/account_restriction", []),

        ("facebook/text", ["message of 7000000000000001: good morning"]),
        ("facebook/text_quick_reply", ["message of 7000000000000001: Red {quick_reply}"]),
        ("facebook/text_reply_to", ["message of 7000000000000001: this one > m_OURS1"]),
        (
            "facebook/image_two",
            [
                "message of 7000000000000001: [image https://media.example/v/t1.15752-9/one.jpg] "
                    + "[image https://media.example/v/t1.15752-9/two.jpg]"
            ]
        ),
        ("facebook/file", ["message of 7000000000000001: [file https://media.example/v/t59.2708-21/invoice.pdf]"]),
        (
            "facebook/link_fallback",
            ["message of 7000000000000001: https://www.example.com/x [link https://www.example.com/x Example]"]
        ),
        (
            "facebook/sticker_transition",
            ["message of 7000000000000001: [sticker https://media.example/t39.1997-6/like.png]"]
        ),
        ("facebook/postback", ["message of 7000000000000001: Get Started {postback}"]),
        ("facebook/referral", ["referral of 7000000000000001"]),
        ("facebook/reaction", ["reaction of 7000000000000001 to m_OURS1 ❤️"]),
        ("facebook/reaction_removed", ["reaction of 7000000000000001 to m_OURS1"]),
        (
            "facebook/delivery",
            ["status of 7000000000000001 to m_OURS1 delivered", "reach of 7000000000000001 delivered"]
        ),
        ("facebook/read", ["reach of 7000000000000001 read"]),
        (
            "facebook/echo",
            [
                "echo of 7000000000000001 to m_OURS1, ours 0193A6F0-7C1E-7B7E-9D5E-0A1B2C3D4E5F: How can we help?"
            ]
        ),
        ("facebook/echo_page_inbox", ["echo of 7000000000000001 to m_INBOX1: Typed in the Page inbox"]),
        ("facebook/edit", ["edit of 7000000000000001 to m_IN-A number 1: good morning to you"]),
        ("facebook/standby", ["message of 7000000000000001: another app owns this thread"]),
        ("facebook/batch", ["message of 7000000000000001: one", "message of 7000000000000002: two"]),

        ("instagram/text", ["message of 1250000000000001: Do you ship to Wales?"]),
        ("instagram/text_quick_reply", ["message of 1250000000000001: Yes {quick_reply}"]),
        ("instagram/text_reply_to", ["message of 1250000000000001: this > aWdOURS1"]),
        (
            "instagram/image",
            [
                "message of 1250000000000001: "
                    + "[image https://media.example/ig_messaging_cdn/?asset_id=17965&signature=Abx]"
            ]
        ),
        (
            "instagram/share_post",
            [
                "message of 1250000000000001: "
                    + "[post https://media.example/ig_messaging_cdn/?asset_id=17966 New arrivals]"
            ]
        ),
        (
            "instagram/story_mention",
            ["message of 1250000000000001: [story https://media.example/ig_messaging_cdn/?asset_id=17967]"]
        ),
        (
            "instagram/story_reply",
            [
                "message of 1250000000000001: Love it! "
                    + "[story https://media.example/ig_messaging_cdn/?asset_id=17968] {story}"
            ]
        ),
        ("instagram/reaction", ["reaction of 1250000000000001 to aWdOURS1 ❤"]),
        ("instagram/reaction_removed", ["reaction of 1250000000000001 to aWdOURS1"]),
        (
            "instagram/seen",
            ["status of 1250000000000001 to aWdOURS1 read", "reach of 1250000000000001 to aWdOURS1 read"]
        ),
        ("instagram/deleted", ["unsend of 1250000000000001 to aWdINA"]),
        ("instagram/unsupported", ["message of 1250000000000001: [unsupported]"]),
        ("instagram/echo", ["echo of 1250000000000001 to aWdOURS1: Yes we do!"]),
        ("instagram/postback_icebreaker", ["message of 1250000000000001: Opening hours? {postback}"]),
        ("instagram/referral", ["referral of 1250000000000001"]),
        ("instagram/edit", ["edit of 1250000000000001 to aWdINA number 1: Do you ship to Wales now?"]),
        ("instagram/comment", []),
        ("instagram/dashboard_test", []),

        ("twitter/dm_text", ["message of 5550000002 @adabyron (Ada Byron): Good evening"]),
        ("twitter/dm_html_entities", ["message of 5550000002 @adabyron (Ada Byron): 5 < 6 & 7 > 6"]),
        // The picture is the account's alone: its address is no link.
        ("twitter/dm_photo", ["message of 5550000002 @adabyron (Ada Byron): look [image] {media}"]),
        (
            "twitter/dm_animated_gif",
            [
                "message of 5550000002 @adabyron (Ada Byron): [video video/mp4 "
                    + "https://video.twimg.com/dm_gif/1209117874389843970/p.mp4] {media}"
            ]
        ),
        ("twitter/dm_quick_reply", ["message of 5550000002 @adabyron (Ada Byron): Blue Bird {quick_reply}"]),
        ("twitter/dm_sent_echo", ["echo of 5550000002 to 954491830116155420: How can we help?"]),
        (
            "twitter/dm_read",
            [
                "status of 5550000002 to 954491830116155420 read",
                "reach of 5550000002 read number 954491830116155420",
            ]
        ),
        ("twitter/dm_typing", []),
        ("twitter/mention", []),
        ("twitter/revoke", ["revoked: The account has taken our access away."]),
        ("twitter/replay_done", []),
        ("twitter/xaa_dm_received", ["message of 5550000002 @adabyron (Ada Byron): hello!"]),
        ("twitter/xaa_chat_received", ["message of 5550000002: [unsupported encrypted, open it in X]"]),

        (
            "linkedin/comment",
            [
                "message of urn:li:person:aDaByR0n01 (LinkedIn member): Is the Leeds role part-time? "
                    + "{decoratedSourcePost,sourcePost}"
            ]
        ),
        (
            "linkedin/comment_edit",
            [
                "edit of urn:li:person:aDaByR0n01 to "
                    + "urn:li:comment:(urn:li:activity:7100000000000000001,7100000000000000011) "
                    + "number 1763805700310: Is the Leeds role full-time?"
            ]
        ),
        (
            "linkedin/comment_delete",
            ["unsend to urn:li:comment:(urn:li:activity:7100000000000000001,7100000000000000011)"]
        ),
        ("linkedin/admin_comment", []),
        ("linkedin/like", []),
        (
            "linkedin/share_mention",
            [
                "message of urn:li:person:aDaByR0n01 (LinkedIn member): Thanks to Example! "
                    + "[post https://www.linkedin.com/feed/update/urn:li:share:7099999247487995904/] "
                    + "{decoratedSourcePost,sourcePost}"
            ]
        ),
        (
            "linkedin/batch",
            [
                "message of urn:li:person:aDaByR0n01 (LinkedIn member): First {decoratedSourcePost,sourcePost}",
                "message of urn:li:person:zOeAbErg02 (LinkedIn member): Second {decoratedSourcePost,sourcePost}",
            ]
        ),
        ("linkedin/lead_action", []),
    ]

    @Test(arguments: effects)
    func hasItsEffect(_ file: String, _ events: [String]) throws {
        let kind = String(file.prefix { $0 != "/" })
        let body = try Data(contentsOf: URL(fileURLWithPath: "\(Checkout.root)/Tests/Fixtures/\(file).json"))

        let read = try Connectors.connector(for: kind).events(in: .signed(Array(body), for: kind), for: .test(kind))

        #expect(read.map(\.line) == events)
    }

    @Test func everyFileIsInTheTable() throws {
        let folder = Checkout.root + "/Tests/Fixtures"
        let files = try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(".json") }

        let answers = AnswerTests.effects.map { $0.file.replacingOccurrences(of: "/", with: "/responses/") }
        #expect(Set(files) == Set((Self.effects.map(\.file) + answers).map { $0 + ".json" }))
    }

    /// What cannot be read is kept, and what stands beside it is read.
    @Test(arguments: [
        (
            "whatsapp",
            #"{"object": "whatsapp_business_account", "entry": [1, {"changes": [null, {"field": "messages", "value": {"metadata": {"phone_number_id": "300100200101"}, "messages": [7, {"from": "441632960111", "id": "a", "type": "novelty", "novelty": []}], "statuses": [{}, {"id": "b", "status": "warned"}]}}]}]}"#,
            [
                "unreadable: a message without an id", "message of +441632960111: [unsupported]",
                "unreadable: a status without an id",
            ]
        ),
        (
            "facebook",
            #"{"object": "page", "entry": [{"id": "700100200300", "messaging": [[], {"sender": {"id": "1"}, "recipient": {"id": "700100200300"}, "message": {"text": "x"}}, {"sender": {"id": "1"}, "recipient": {"id": "700100200300"}, "message": {"mid": "a", "text": "b"}}, {"sender": {"id": "1"}, "recipient": {"id": "9"}, "message": {"mid": "c", "text": "d"}}]}]}"#,
            [
                "unreadable: an event without a sender or a recipient", "unreadable: a message without a mid",
                "message of 1: b",
            ]
        ),
        (
            "twitter",
            #"{"for_user_id": "5550000001", "direct_message_events": [3, {"type": "novelty"}, {"type": "message_create"}, {"type": "message_create", "id": 954491830116155397, "message_create": {"sender_id": 5550000002}}]}"#,
            [
                "unreadable: an event that is no object", "unreadable: a message without an id or a sender",
                "message of 5550000002: [unsupported]",
            ]
        ),
        (
            "linkedin",
            #"{"type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", "notifications": [null, {"organizationalEntity": "urn:li:organization:4004001", "action": "COMMENT"}, {"organizationalEntity": "urn:li:organization:4004001", "action": "COMMENT", "decoratedGeneratedActivity": {"comment": {"entity": "urn:li:comment:(activity:1,2)", "owner": "urn:li:person:x", "text": {"text": "hi"}}}}]}"#,
            [
                "unreadable: a notification that is no object",
                "unreadable: a notification of a comment without its id",
                "message of urn:li:person:x (LinkedIn member): hi",
            ]
        ),
    ])
    func losesNoNeighbour(_ kind: String, _ body: String, _ events: [String]) throws {
        let read = try Connectors.connector(for: kind)
            .events(in: .signed(Array(body.utf8), for: kind), for: .test(kind))

        #expect(read.map(\.line) == events)
    }

    @Test(arguments: ["whatsapp", "facebook", "instagram", "twitter", "linkedin"])
    func refusesWhatIsNotItsFormatBehindASignatureOnly(_ kind: String) {
        let connector = Connectors.connector(for: kind)
        for body in ["", "{", "[]", "null", #"{"object": "other"}"#, #"{"a": "\ud800"}"#] {
            let signed = Webhook.signed(Array(body.utf8), for: kind)
            let unsigned = Webhook(headers: [], body: Array(body.utf8))
            let forged = Webhook(headers: signed.headers, body: Array((body + " ").utf8))
            #expect(throws: WebhookFault.badSignature, "\(body)") {
                try connector.events(in: unsigned, for: .test(kind))
            }
            #expect(throws: WebhookFault.badSignature, "\(body)") { try connector.events(in: forged, for: .test(kind)) }
            let fault = #expect(throws: WebhookFault.self) { try connector.events(in: signed, for: .test(kind)) }
            guard case .badFormat? = fault else {
                Issue.record("\(body) was taken for something else: \(String(describing: fault))")
                continue
            }
        }
    }
}

extension InboundEvent {
    /// The whole event in a line, but for times and the ids of new messages.
    fileprivate var line: String {
        switch self {
        case .message(let message):
            return (["message of \(message.sender.line(named: true)):"] + message.parts).joined(separator: " ")
        case .change(let change):
            var parts = [change.kind.rawValue]
            if let person = change.person { parts.append("of " + person.line(named: false)) }
            if let successor = change.successor { parts.append("becomes " + successor.line(named: false)) }
            if let id = change.externalId { parts.append("to " + id) }
            parts += [change.status, change.fault?.code, change.emoji].compactMap { $0 }
            if let number = change.number { parts.append("number \(number)") }
            if let isOptOut = change.isOptOut { parts.append("out \(isOptOut)") }
            var line = parts.joined(separator: " ")
            if let ours = change.messageId { line += ", ours \(ours.uuidString)" }
            if let text = change.text { line += ": " + text }
            return line
        case .unreadable(_, let reason): return "unreadable: " + reason
        }
    }
}

extension InboundMessage {
    fileprivate var parts: [String] {
        var parts = text.isEmpty ? [] : [text]
        parts += attachments.map { attachment in
            let words = [attachment.type, attachment.mimeType, attachment.url, attachment.name].compactMap { $0 }
            return "[" + words.joined(separator: " ") + "]"
        }
        if let replyTo { parts.append("> " + replyTo) }
        if case .object(let members)? = metadata {
            parts.append("{" + members.keys.sorted().joined(separator: ",") + "}")
        }
        return parts
    }
}

extension Sender {
    fileprivate func line(named: Bool) -> String {
        var line = [phone, externalId].compactMap { $0 }.joined(separator: " ")
        guard named else { return line }
        if let handle { line += " @" + handle }
        if let name { line += " (\(name))" }
        return line
    }
}
