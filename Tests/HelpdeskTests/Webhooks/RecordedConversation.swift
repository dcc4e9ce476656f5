import Foundation
import Functions
import TestSupport

/// What a provider told of one conversation, piece by piece and in its order, and how it puts pieces into a body.
///
/// There is everything that the provider has: messages of every direction, replies (to later ones, too), edits and what was taken back,
/// reactions, receipts of single messages and up to a moment, a message or an id, referrals, preferences; and of each what is about
/// something that nobody knows. Times differ wherever the newest is to hold.
///
/// Left out, because the order in which they are accepted is all there is to go by: people whose ids only a later message ties together,
/// and STOP and START within one second of WhatsApp's clock.
struct RecordedConversation {
    enum Piece {
        /// A change of WhatsApp's, an event of Messenger's or Instagram's, a notification of LinkedIn's.
        case one(JSON)
        /// An element of a list of X's.
        case listed(String, JSON)
        /// A body of X's that stands for itself.
        case body(JSON)
    }

    let kind: String
    /// Our answer that is on its way when it begins, of providers that send our id back.
    let ours: String?
    let base: Date
    /// Instead of all that, of WhatsApp: a person who gets a new number, with or without ids beside the numbers.
    let newNumber: NewNumber?

    enum NewNumber: CaseIterable {
        case alone, withIds
    }

    init(_ kind: String, ours: String?, base: Date, newNumber: NewNumber? = nil) {
        self.kind = kind
        self.ours = ours
        self.base = base
        self.newNumber = newNumber
    }

    private func millis(_ second: Int) -> Int { Int(base.timeIntervalSince1970) * 1000 + second * 1000 }
    private func ms(_ second: Int) -> JSON { .number("\(millis(second))") }
    private func msText(_ second: Int) -> JSON { .string("\(millis(second))") }
    private func seconds(_ second: Int) -> JSON { .string("\(millis(second) / 1000)") }

    var pieces: [Piece] {
        if let newNumber { return moved(newNumber).map { .one($0) } }
        return switch kind {
        case "whatsapp": whatsApp.map { .one($0) }
        case "facebook": messenger.map { .one($0) }
        case "instagram": instagram.map { .one($0) }
        case "twitter": twitter
        default: linkedIn.map { .one($0) }
        }
    }

    /// The pieces in bodies, so many in each as chance says.
    func bodies(_ pieces: [Piece], _ random: inout SeededGenerator) -> [JSON] {
        var bodies: [JSON] = []
        var rest = pieces[...]
        while !rest.isEmpty {
            let count = 1 + random.below(6)
            bodies += self.bodies(of: Array(rest.prefix(count)), isSplit: random.below(2) == 0)
            rest = rest.dropFirst(count)
        }
        return bodies
    }

    /// All pieces in one body, or of X's as many as they need.
    func bodies(of pieces: [Piece], isSplit: Bool) -> [JSON] {
        var (ones, lists, whole): ([JSON], [(String, JSON)], [JSON]) = ([], [], [])
        for piece in pieces {
            switch piece {
            case .one(let value): ones.append(value)
            case .listed(let list, let value): lists.append((list, value))
            case .body(let value): whole.append(value)
            }
        }
        func entries(_ object: String, _ id: String, _ list: String) -> JSON {
            let groups = isSplit ? ones.map { [$0] } : [ones]
            return [
                "object": .string(object),
                "entry": .array(
                    groups.map { ["id": .string(id), "time": ms(0), list: .array($0)] }
                ),
            ]
        }
        switch kind {
        case "whatsapp": return [entries("whatsapp_business_account", "300100200100", "changes")]
        case "facebook": return [entries("page", "700100200300", isSplit ? "standby" : "messaging")]
        case "instagram": return [entries("instagram", "17840000000000001", "messaging")]
        case "twitter":
            guard !lists.isEmpty else { return whole }
            let names = Set(lists.map(\.0)).sorted()
            let members = names.map { name in
                JSON.Member(name, .array(lists.filter { $0.0 == name }.map(\.1)))
            }
            let head: [JSON.Member] = [.init("for_user_id", "5550000001"), .init("users", Self.users)]
            return whole + [.object(head + members)]
        default:
            return [["type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", "notifications": .array(ones)]]
        }
    }

    // MARK: WhatsApp

    private typealias Ids = (number: String, user: String?)
    private static let ada: Ids = ("441632960111", "GB.20000000000000000007")

    private func value(_ field: String, _ list: String, _ element: JSON, of person: Ids? = ada) -> JSON {
        var value: [JSON.Member] = [
            .init("messaging_product", "whatsapp"),
            .init("metadata", ["display_phone_number": "441632960000", "phone_number_id": "300100200101"]),
        ]
        if let person {
            var contact: [JSON.Member] = [
                .init("profile", ["name": "Ada Byron"]), .init("wa_id", .string(person.number)),
            ]
            if let user = person.user { contact.append(.init("user_id", .string(user))) }
            value.append(.init("contacts", [.object(contact)]))
        }
        value.append(.init(list, [element]))
        return ["field": .string(field), "value": .object(value)]
    }

    private func said(
        _ id: String,
        _ second: Int,
        _ members: [JSON.Member],
        quoting quoted: String? = nil,
        by person: Ids = ada
    ) -> JSON {
        var head: [JSON.Member] = [
            .init("id", .string(id)), .init("timestamp", seconds(second)), .init("from", .string(person.number)),
        ]
        if let user = person.user { head.append(.init("from_user_id", .string(user))) }
        return value("messages", "messages", .object(head + members + context(quoted)), of: person)
    }

    private func told(_ id: String, _ status: String, _ second: Int, _ more: [JSON.Member] = []) -> JSON {
        let head: [JSON.Member] = [
            .init("id", .string(id)), .init("status", .string(status)), .init("timestamp", seconds(second)),
            .init("recipient_id", "441632960111"),
        ]
        return value("messages", "statuses", .object(head + more))
    }

    private func typed(
        _ id: String,
        _ second: Int,
        _ text: String,
        quoting quoted: String? = nil,
        to person: Ids = ada
    ) -> JSON {
        var head: [JSON.Member] = [
            .init("from", "441632960000"), .init("to", .string(person.number)), .init("id", .string(id)),
            .init("timestamp", seconds(second)),
        ]
        if let user = person.user { head.append(.init("to_user_id", .string(user))) }
        let echo = JSON.object(head + self.text(text) + context(quoted))
        return value("smb_message_echoes", "message_echoes", echo, of: person)
    }

    private func text(_ body: String) -> [JSON.Member] {
        [.init("type", "text"), .init("text", ["body": .string(body)])]
    }

    private func image(_ caption: String) -> [JSON.Member] {
        [
            .init("type", "image"),
            .init("image", ["id": "media-1", "mime_type": "image/png", "caption": .string(caption)]),
        ]
    }

    private func context(_ id: String?) -> [JSON.Member] {
        guard let id else { return [] }
        return [.init("context", ["from": "441632960000", "id": .string(id)])]
    }

    private func edit(_ original: String, _ message: [JSON.Member]) -> [JSON.Member] {
        [
            .init("type", "edit"),
            .init("edit", ["original_message_id": .string(original), "message": .object(message)]),
        ]
    }

    private func revoke(_ original: String) -> [JSON.Member] {
        [.init("type", "revoke"), .init("revoke", ["original_message_id": .string(original)])]
    }

    private func reaction(_ target: String, _ emoji: String?) -> [JSON.Member] {
        let emoji: [JSON.Member] = emoji.map { [.init("emoji", .string($0))] } ?? []
        return [
            .init("type", "reaction"), .init("reaction", .object([.init("message_id", .string(target))] + emoji)),
        ]
    }

    private var whatsApp: [JSON] {
        let failure: [JSON.Member] = [.init("errors", [["code": 131_026, "title": "Message undeliverable"]])]
        var told: [JSON] = [
            said("wamid.1", 0, text("Is it in stock?")), typed("wamid.P1", 5, "Yes"),
            self.told("wamid.P1", "sent", 6), self.told("wamid.P1", "delivered", 7), self.told("wamid.P1", "read", 9),
            said("wamid.2", 10, image("look"), quoting: "wamid.P1"),
            said("wamid.2a", 20, edit("wamid.2", image("look here"))),
            said("wamid.2b", 30, edit("wamid.2", image("look there"))),
            said("wamid.r1", 40, reaction("wamid.P1", "👍")), said("wamid.r2", 41, reaction("wamid.P1", "❤️")),
            said("wamid.r3", 45, reaction("wamid.P1", nil)), said("wamid.r4", 46, reaction("wamid.1", "😂")),
            // Of one second: two, and one that was taken back.
            said("wamid.r5", 47, reaction("wamid.2", "👍")), said("wamid.r6", 47, reaction("wamid.2", "🙏")),
            said("wamid.r7", 98, reaction("wamid.5", "👍")), said("wamid.r8", 98, reaction("wamid.5", nil)),
            said("wamid.3", 50, text("typo"), quoting: "wamid.1"), said("wamid.3a", 60, revoke("wamid.3")),
            said("wamid.4", 70, image("twice")), said("wamid.4a", 75, edit("wamid.4", image("thrice"))),
            said("wamid.4b", 80, revoke("wamid.4")),
            typed("wamid.P2", 90, "On its way", quoting: "wamid.5"), self.told("wamid.P2", "sent", 91),
            self.told("wamid.P2", "failed", 92, failure),
            said("wamid.5", 95, text("thanks"), quoting: "wamid.unknown"),
            said("wamid.6", 100, text("STOP")), said("wamid.7", 110, text("START")), said("wamid.8", 115, text("stop")),
            said("wamid.u1", 116, reaction("wamid.unknown", "👍")), said("wamid.u2", 117, revoke("wamid.unknown")),
            said("wamid.9a", 118, edit("wamid.9", text("all that is left of nine"))),
            self.told("wamid.unknown", "read", 119), self.told("wamid.unknown", "delivered", 119),
            // What they want of campaigns, told in two ways.
            value("user_preferences", "user_preferences", preference("stop", 98)),
            value("user_preferences", "user_preferences", preference("resume", 99)),
            said("wamid.10", 131, [.init("type", "ephemeral")]),
        ]
        // Somebody who hides the number.
        let hidden: [JSON.Member] = [
            .init("id", "wamid.11"), .init("timestamp", seconds(132)), .init("from_user_id", "GB.20000000000000000007"),
        ]
        told.append(value("messages", "messages", .object(hidden + text("hidden"))))
        if let ours {
            let memo: [JSON.Member] = [.init("biz_opaque_callback_data", .string("msg:\(ours)"))]
            for (status, second) in [("sent", 301), ("delivered", 302), ("read", 304)] {
                told.append(self.told("wamid.OURS", status, second, memo))
            }
        }
        return told
    }

    private func preference(_ value: String, _ second: Int, of person: Ids = ada) -> JSON {
        var ids: [JSON.Member] = [.init("wa_id", .string(person.number))]
        if let user = person.user { ids.append(.init("user_id", .string(user))) }
        let choice: [JSON.Member] = [
            .init("category", "marketing_messages"), .init("value", .string(value)),
            .init("timestamp", .number("\(millis(second) / 1000)")),
        ]
        return .object(ids + choice)
    }

    /// Who has `old` has `new` from now on.
    private func changed(_ second: Int, from old: Ids, to new: Ids) -> JSON {
        var system: [JSON.Member] = [.init("type", "user_changed_number"), .init("wa_id", .string(new.number))]
        if let user = new.user { system.append(.init("user_id", .string(user))) }
        var message: [JSON.Member] = [
            .init("id", .string("wamid.system\(second)")), .init("timestamp", seconds(second)),
            .init("from", .string(old.number)), .init("type", "system"), .init("system", .object(system)),
        ]
        if let user = old.user { message.append(.init("from_user_id", .string(user))) }
        return value("messages", "messages", .object(message), of: nil)
    }

    /// Ada gets a new number, and another one after that; what is told of her names the one that she had then.
    private func moved(_ newNumber: NewNumber) -> [JSON] {
        let user = { (id: String) in newNumber == .withIds ? id : nil }
        let first: Ids = ("441632960111", user("GB.20000000000000000007"))
        let second: Ids = ("441632960222", user("GB.20000000000000000008"))
        let third: Ids = ("441632960333", user("GB.20000000000000000009"))
        let strangers: [Ids] = [("441632960444", nil), ("441632960555", nil)]
        return [
            said("wamid.1", 0, text("Is it in stock?"), by: first), typed("wamid.P1", 5, "Yes", to: first),
            said("wamid.1a", 8, edit("wamid.1", text("Is it in stock yet?")), by: first),
            said("wamid.r1", 9, reaction("wamid.P1", "👍"), by: first),
            value("user_preferences", "user_preferences", preference("stop", 10, of: first), of: first),
            said("wamid.2", 11, image("this one"), quoting: "wamid.P1", by: first),
            changed(20, from: first, to: second), changed(20, from: strangers[0], to: strangers[1]),
            said("wamid.3", 30, text("My new number"), quoting: "wamid.1", by: second),
            typed("wamid.P2", 31, "Noted", to: second), told("wamid.P2", "delivered", 32),
            value("user_preferences", "user_preferences", preference("resume", 33, of: second), of: second),
            changed(40, from: second, to: third), said("wamid.4", 50, text("Yet another"), by: third),
            said("wamid.r2", 51, reaction("wamid.P1", nil), by: third),
        ]
    }

    // MARK: Messenger and Instagram

    private var us: String { kind == "facebook" ? "700100200300" : "17840000000000001" }

    private func theirs(_ second: Int?, _ name: String, _ body: JSON, of person: String = "7000000000000002") -> JSON {
        var members: [JSON.Member] = [
            .init("sender", ["id": .string(person)]), .init("recipient", ["id": .string(us)]),
        ]
        if let second { members.append(.init("timestamp", ms(second))) }
        return .object(members + [.init(name, body)])
    }

    private func echo(
        _ id: String,
        _ second: Int,
        _ text: String,
        quoting quoted: String? = nil,
        to person: String = "7000000000000002",
        _ more: [JSON.Member] = []
    ) -> JSON {
        let said: [JSON.Member] = [.init("is_echo", true), .init("text", .string(text))]
        return [
            "sender": ["id": .string(us)], "recipient": ["id": .string(person)], "timestamp": ms(second),
            "message": mid(id, said + more, quoting: quoted),
        ]
    }

    private func mid(_ id: String, _ more: [JSON.Member], quoting quoted: String? = nil) -> JSON {
        var members: [JSON.Member] = [.init("mid", .string(id))]
        members += more
        if let quoted { members.append(.init("reply_to", ["mid": .string(quoted)])) }
        return .object(members)
    }

    /// What both have.
    private var shared: [JSON] {
        let pictures: JSON = [
            ["type": "image", "payload": ["url": "https://cdn.example/1.png"]],
            ["type": "image", "payload": ["url": "https://cdn.example/2.png"]],
        ]
        return [
            theirs(0, "message", mid("m_1", [.init("text", "Do you ship?")])),
            echo("m_E1", 5, "We do", quoting: "m_1"),
            theirs(10, "message", mid("m_2", [.init("attachments", pictures)], quoting: "m_E1")),
            theirs(20, "message_edit", mid("m_1", [.init("text", "Do you ship to Wales?"), .init("num_edit", 1)])),
            theirs(30, "message_edit", mid("m_1", [.init("text", "Do you ship to Kent?"), .init("num_edit", "2")])),
            theirs(31, "message_edit", mid("m_2", [.init("text", "see both"), .init("num_edit", 1)])),
            theirs(40, "reaction", mid("m_E1", [.init("action", "react"), .init("reaction", "love")])),
            theirs(45, "reaction", mid("m_E1", [.init("action", "unreact")])),
            theirs(46, "reaction", mid("m_1", [.init("action", "react"), .init("emoji", "👍")])),
            theirs(47, "reaction", mid("m_unknown", [.init("action", "react"), .init("emoji", "👍")])),
            theirs(50, "postback", mid("m_3", [.init("title", "Get started"), .init("payload", "START")])),
            theirs(51, "postback", ["title": "Old form", "payload": "OLD"]),
            theirs(55, "message", mid("m_4", [.init("text", "that one")], quoting: "m_5")),
            theirs(56, "message", mid("m_5", [.init("text", "this one")], quoting: "m_unknown")),
            theirs(60, "referral", ["ref": "first", "source": "SHORTLINK", "type": "OPEN_THREAD"]),
            theirs(61, "referral", ["ref": "second", "source": "ADS", "type": "OPEN_THREAD"]),
            theirs(62, "message", mid("m_6", [])),
            theirs(70, "message_edit", mid("m_7", [.init("text", "only the edit came"), .init("num_edit", 1)])),
            echo("m_E2", 90, "On its way"), echo("m_E3", 97, "Anything else?"),
        ]
    }

    private var messenger: [JSON] {
        var told = shared
        let receipts: [JSON] = [
            theirs(nil, "delivery", ["mids": ["m_E1"], "watermark": ms(6)]), theirs(8, "read", ["watermark": ms(7)]),
            theirs(nil, "delivery", ["watermark": ms(94)]), theirs(96, "read", ["watermark": ms(95)]),
        ]
        told.append(contentsOf: receipts)
        guard let ours else { return told }
        let kim = "7000000000000001"
        told.append(echo("m_OURS", 301, "our answer", to: kim, [.init("metadata", .string("msg:\(ours)"))]))
        told.append(theirs(nil, "delivery", ["mids": ["m_OURS"], "watermark": ms(302)], of: kim))
        told.append(theirs(304, "read", ["watermark": ms(303)], of: kim))
        return told
    }

    private var instagram: [JSON] {
        let picture: JSON = [["type": "image", "payload": ["url": "https://cdn.example/9.png"]]]
        let story: JSON = ["story": ["id": "s1", "url": "https://cdn.example/story"]]
        var told = shared
        let more: [JSON] = [
            theirs(8, "read", ["mid": "m_E1"]), theirs(96, "read", ["mid": "m_E2"]),
            theirs(98, "read", ["mid": "m_unknown"]),
            theirs(100, "message", mid("m_8", [.init("text", "wrong chat")])),
            theirs(101, "message", mid("m_8", [.init("is_deleted", true)])),
            theirs(102, "message", mid("m_9", [.init("attachments", picture)])),
            theirs(103, "message_edit", mid("m_9", [.init("text", "oops"), .init("num_edit", 1)])),
            theirs(104, "message", mid("m_9", [.init("is_deleted", true)])),
            theirs(105, "message", mid("m_10", [.init("text", "nice"), .init("reply_to", story)])),
            theirs(106, "message", mid("m_11", [.init("is_unsupported", true)])),
            theirs(107, "message", mid("m_unknown", [.init("is_deleted", true)])),
        ]
        told.append(contentsOf: more)
        return told
    }

    // MARK: X

    private static let users: JSON = [
        "5550000002": ["id": "5550000002", "name": "Ada Byron", "screen_name": "adabyron"],
        "5550000001": ["id": "5550000001", "name": "Example Ltd", "screen_name": "example_ltd"],
    ]

    private func direct(_ id: Int, _ second: Int, isOurs: Bool = false, _ data: JSON) -> JSON {
        [
            "type": "message_create", "id": .string("8544918301161500\(id)"), "created_timestamp": msText(second),
            "message_create": [
                "target": ["recipient_id": isOurs ? "5550000002" : "5550000001"],
                "sender_id": isOurs ? "5550000001" : "5550000002", "message_data": data,
            ],
        ]
    }

    private func activity(_ type: String, _ payload: JSON, _ uuid: Int) -> Piece {
        .body(
            [
                "data": [
                    "event_uuid": .string("-\(uuid)"), "filter": ["user_id": "5550000001"], "event_type": .string(type),
                    "payload": payload,
                ]
            ]
        )
    }

    private func read(_ last: Int, _ second: Int) -> JSON {
        [
            "created_timestamp": msText(second), "sender_id": "5550000002", "target": ["recipient_id": "5550000001"],
            "last_read_event_id": .string("8544918301161500\(last)"),
        ]
    }

    private var twitter: [Piece] {
        let (messages, reads) = ("direct_message_events", "direct_message_mark_read_events")
        let photo: JSON = [
            "type": "media",
            "media": [
                "id_str": "7", "type": "photo", "url": "https://t.co/abc",
                "media_url_https": "https://ton.twitter.com/dm/7.jpg",
            ],
        ]
        let newUsers: JSON = [
            "5550000002": ["data": ["id": "5550000002", "name": "Ada Byron", "username": "adabyron"]]
        ]
        let first = direct(100, 0, ["text": "Good evening"])
        return [
            .listed(messages, first), .listed(messages, direct(105, 5, isOurs: true, ["text": "How can we help?"])),
            .listed(reads, read(105, 8)),
            .listed(messages, direct(110, 10, ["text": "this https://t.co/abc", "attachment": photo])),
            .listed(messages, direct(120, 20, ["text": "1 &lt; 2 &amp;amp; 3"])),
            .listed(
                messages,
                direct(130, 30, ["text": "Yes", "quick_reply_response": ["type": "options", "metadata": "y"]])
            ),
            .listed(messages, direct(190, 90, isOurs: true, ["text": "Done"])), .listed(reads, read(191, 96)),
            .listed(messages, direct(197, 97, isOurs: true, ["text": "Anything else?"])),
            .listed(reads, read(100, 98)),
            .listed("direct_message_indicate_typing_events", ["sender_id": "5550000002"]),
            // By the other of the two APIs.
            activity("dm.received", ["direct_message_events": [first], "users": newUsers], 1),
            activity(
                "dm.sent",
                ["direct_message_events": [direct(190, 90, isOurs: true, ["text": "Done"])], "users": newUsers],
                2
            ),
            activity("dm.read", ["direct_message_mark_read_events": [read(191, 96)], "users": newUsers], 3),
            activity(
                "chat.received",
                [
                    "id": "77", "sender_id": "5550000002", "created_at_msec": msText(100), "encoded_event": "AAAA",
                    "conversation_id": "5550000001:5550000002",
                ],
                4
            ),
        ]
    }

    // MARK: LinkedIn

    private func comment(_ action: String, _ number: Int, _ second: Int, _ text: String?, on parent: Int? = nil) -> JSON
    {
        let post = "urn:li:activity:7100000000000000001"
        let urn = { (number: Int) in "urn:li:comment:(\(post),71000000000000000\(number))" }
        var members: [JSON.Member] = [
            .init("notificationId", .number("\(5_603_000_000 + second * 100 + number)")),
            .init("organizationalEntity", "urn:li:organization:4004001"), .init("action", .string(action)),
            .init("sourcePost", .string(post)), .init("lastModifiedAt", ms(second)),
            // As it is also seen.
            .init("generatedActivity", .string(urn(number).replacing("(urn:li:", with: "("))),
        ]
        if let text {
            members.append(
                .init(
                    "decoratedGeneratedActivity",
                    [
                        "comment": [
                            "entity": .string(urn(number)), "owner": "urn:li:person:aDaByR0n01", "text": .string(text),
                            "object": .string(parent.map(urn) ?? post),
                        ]
                    ]
                )
            )
        }
        return .object(members)
    }

    private var linkedIn: [JSON] {
        [
            comment("COMMENT", 11, 0, "Is it part-time?"), comment("LIKE", 11, 1, nil),
            comment("COMMENT_EDIT", 11, 20, "Is it full-time?"), comment("COMMENT_EDIT", 11, 30, "Is it remote?"),
            comment("COMMENT", 12, 40, "And one more", on: 11), comment("COMMENT", 13, 50, "never mind"),
            comment("COMMENT_EDIT", 13, 55, "never mind!"), comment("COMMENT_DELETE", 13, 60, nil),
            comment("COMMENT", 14, 61, ""), comment("COMMENT_EDIT", 15, 70, "only the edit came"),
            comment("COMMENT_DELETE", 16, 71, nil), comment("ADMIN_COMMENT", 17, 72, "Thank you"),
            comment("COMMENT_DELETE", 14, 80, nil),
        ]
    }
}
