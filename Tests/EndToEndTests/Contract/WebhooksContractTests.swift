import Foundation
import Postgres
import TestSupport
import Testing

@Suite struct WebhooksContractTests {
    private func ticket(of handle: String, in acme: Organisation, where holds: ([String: Any]) -> Bool = { _ in true })
        async throws -> [String: Any]
    {
        try await eventually {
            try await acme.tickets().first { ticket in
                (ticket["contact"] as? [String: Any])?["handle"] as? String == handle && holds(ticket)
            }
        }
    }

    private func tickets(of handle: String, in acme: Organisation) async throws -> Int {
        try await acme.tickets().count { ($0["contact"] as? [String: Any])?["handle"] as? String == handle }
    }

    /// A message of a customer by handle, with an id of its own.
    private func write(_ text: String = "hi", as handle: String, to channel: String) async throws {
        let form = ["senderHandle": handle, "message": text, "messageId": UUID().uuidString]
        let answer = try await Contract.host().api.post("/webhook/\(channel)", form)
        guard answer.status == 200 else { throw UnexpectedAnswer(answer) }
    }

    @Test(arguments: [
        "", "x", "[]", "null", #"{"message": "a", "messageId": "q"}"#,
        #"{"senderPhone": "", "message": "a", "messageId": "q"}"#,
        #"{"senderPhone": "abc", "message": "a", "messageId": "q"}"#, #"{"senderHandle": "a", "messageId": "q"}"#,
        #"{"senderHandle": "a", "message": "a"}"#, #"{"senderHandle": "a", "message": 5, "messageId": "q"}"#,
        #"{"senderHandle": "a", "message": "a", "messageId": 5}"#,
        #"{"senderHandle": "a", "message": "\ud800", "messageId": "q"}"#,
        #"{"senderHandle": "a", "message": "a", "messageId": "q", "metadata": "x"}"#,
    ])
    func whatIsNotTheChannelsFormatIs400(_ body: String) async throws {
        let acme = try await Contract.bystander()
        let channel = try await acme.channel()

        #expect(try await acme.api.send("POST", "/webhook/\(channel)", bytes: body).problem == "400")
        #expect(try await acme.api.send("POST", "/webhook/\(Contract.unknownId)", bytes: body).problem == "404")
    }

    @Test func aMockChannelAnswersItsHandshake() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()

        #expect(try await acme.api.get("/webhook/\(channel)").status == 200)
        #expect(try await acme.api.get("/webhook/\(Contract.unknownId)").problem == "404")
    }

    @Test func aCustomersTextIsStoredAsItCameButForZero() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        let texts = [
            "e\u{301}", "\u{1}\u{1B}[0m\r\n", "a\0b", String(repeating: "x", count: 10_000), "👨‍👩‍👧‍👦 שלום", " ",
            "\u{85}\u{7F}",
        ]

        for text in texts { try await write(text, as: "jane", to: channel) }
        let id =
            try await ticket(of: "jane", in: acme) { $0["unreadCount"] as? Int == texts.count }["id"] as? String ?? ""
        let stored = try await acme.messages(of: id).compactMap { $0["text"] as? String }

        #expect(stored.map { Array($0.utf8) } == texts.map { Array($0.replacing("\0", with: "").utf8) })
    }

    @Test func oneIdIsOneMessagePerChannel() async throws {
        let acme = try await Contract.admin()
        let (one, two) = (try await acme.channel(), try await acme.channel())
        func post(_ channel: String, _ text: String) async throws -> Int {
            try await acme.api.webhook(channel, from: "+12345678901", text, id: "same").status
        }

        #expect(try await [post(one, "first"), post(one, "second"), post(two, "first")] == [200, 200, 200])
        try await Contract.host().becomeIdle(["inbound"])

        #expect(try await acme.tickets().map { $0["unreadCount"] as? Int } == [1, 1])
        let contacts = try await acme.tickets().map { ($0["contact"] as? [String: Any])?["id"] as? String }
        #expect(Set(contacts).count == 1)
    }

    @Test func aMessageReopensWhatWasClosedLately() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        let database = try await Contract.host().database
        try await write(as: "jane", to: channel)
        let id = try await ticket(of: "jane", in: acme)["id"] as? String ?? ""
        let path = acme.path + "/tickets/" + id

        _ = try await acme.api.post(path + "/close")
        try await write(as: "jane", to: channel)
        let reopened = try await ticket(of: "jane", in: acme) { $0["unreadCount"] as? Int == 2 }
        #expect(reopened["status"] as? String == "open")
        #expect(reopened["closedAt"] is NSNull)

        _ = try await acme.api.put(path, ["status": "pending"])
        try await write(as: "jane", to: channel)
        let opened = try await ticket(of: "jane", in: acme) { $0["unreadCount"] as? Int == 3 }
        #expect(opened["status"] as? String == "open")

        _ = try await acme.api.post(path + "/close")
        _ = try await database.rows(
            "UPDATE tickets SET closed_at = now() - interval '24 hours 1 second' WHERE id = \(id)::uuid"
        )
        try await write(as: "jane", to: channel)
        let new = try await ticket(of: "jane", in: acme) { $0["id"] as? String != id }
        #expect(try await acme.api.get(path).string("status") == "closed")

        _ = try await acme.api.patch(acme.path, ["settings": ["reopenWithinHours": 0]])
        _ = try await acme.api.post(acme.path + "/tickets/\(new["id"] as? String ?? "")/close")
        try await write(as: "jane", to: channel)
        _ = try await eventually { try await tickets(of: "jane", in: acme) == 3 ? true : nil }
    }

    @Test func theNewestTicketTakesTheMessage() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        let old = try await acme.ticket(on: channel, ["contact": ["handle": "jane"]]).string("id") ?? ""
        let new = try await acme.ticket(on: channel, ["contact": ["handle": "jane"]]).string("id") ?? ""

        try await write(as: "jane", to: channel)

        let taken = try await ticket(of: "jane", in: acme) { $0["unreadCount"] as? Int == 1 }
        #expect(taken["id"] as? String == new)
        #expect(try await acme.api.get(acme.path + "/tickets/" + old).object["unreadCount"] as? Int == 0)
    }

    @Test func readingAndAnsweringLeaveNothingUnreadANoteDoes() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        try await write(as: "jane", to: channel)
        let id = try await ticket(of: "jane", in: acme)["id"] as? String ?? ""
        let path = acme.path + "/tickets/" + id
        func unread() async throws -> Int? { try await acme.api.get(path).object["unreadCount"] as? Int }

        _ = try await acme.api.post(path + "/messages", ["text": "x", "note": true])
        #expect(try await unread() == 1)
        let read = try await acme.api.post(path + "/read")
        #expect(read.status == 204 && read.body.isEmpty)
        #expect(try await unread() == 0)
        try await write(as: "jane", to: channel)
        _ = try await ticket(of: "jane", in: acme) { $0["unreadCount"] as? Int == 1 }
        _ = try await acme.api.post(path + "/messages", ["text": "x"])
        #expect(try await unread() == 0)
        #expect(try await acme.audited(id).isEmpty)
    }

    @Test func stopAloneOptsOutAndStartOptsIn() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        func optedOut(after text: String, _ count: Int) async throws -> Bool? {
            try await write(text, as: "jane", to: channel)
            let found = try await ticket(of: "jane", in: acme) { $0["unreadCount"] as? Int == count }
            return (found["contact"] as? [String: Any])?["optedOut"] as? Bool
        }

        #expect(try await optedOut(after: "please stop", 1) == false)
        #expect(try await optedOut(after: "Stop", 2) == true)
        #expect(try await optedOut(after: "hello", 3) == true)
        #expect(try await optedOut(after: "START", 4) == false)
        #expect(try await optedOut(after: "unsubscribe", 5) == true)
    }
}
