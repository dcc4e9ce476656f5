import Foundation
import TestSupport
import Testing

@Suite struct MessagesContractTests {
    static let members: Set = [
        "id", "ticketId", "direction", "author", "text", "attachments", "status", "error", "externalId", "replyTo",
        "reactions", "createdAt", "providerAt", "sentAt", "deliveredAt", "readAt",
    ]

    @Test func anAnswerIsQueuedThenDeliveredAndMovesItsTicket() async throws {
        let acme = try await Contract.admin()
        let ticket = try await acme.ticketPath(on: acme.channel())
        _ = try await acme.api.post(ticket + "/close")

        let posted = try await acme.api.post(ticket + "/messages", ["text": "hi"])
        let moved = try await acme.api.get(ticket)
        let delivered = try await eventually {
            let answer = try await acme.api.get(ticket + "/messages")
            return answer.string("data.0.status") == "delivered" ? answer : nil
        }

        #expect(posted.status == 201)
        #expect(posted.keys == Self.members)
        #expect(posted.string("status") == "queued")
        #expect(posted.string("author.id") == acme.user)
        #expect(moved.keys == TicketsContractTests.members.union(["messages", "messagesNextCursor"]))
        #expect(moved.string("status") == "open")
        #expect(moved.object["closedAt"] is NSNull)
        #expect(moved.string("firstResponseAt") == posted.string("createdAt"))
        #expect(moved.string("lastMessageAt") == posted.string("createdAt"))
        #expect(delivered.string("data.0.externalId")?.hasPrefix("mock-") == true)
        #expect(delivered.string("data.0.sentAt") != nil && delivered.string("data.0.deliveredAt") != nil)
    }

    @Test func aNoteIsSentAtOnceAndMovesNothing() async throws {
        let acme = try await Contract.admin()
        let made = try await acme.ticket(on: acme.channel())
        let ticket = acme.path + "/tickets/" + (made.string("id") ?? "")
        _ = try await acme.api.post(ticket + "/close")

        let note = try await acme.api.post(ticket + "/messages", ["text": "between us", "note": true])
        let after = try await acme.api.get(ticket)

        #expect(note.string("direction") == "note")
        #expect(note.string("status") == "sent")
        #expect(note.string("sentAt") != nil)
        #expect(after.string("status") == "closed")
        #expect(after.object["firstResponseAt"] is NSNull)
        #expect(after.string("lastMessageAt") == made.string("lastMessageAt"))
    }

    @Test func textIs1To4096ScalarsStoredAsSent() async throws {
        let acme = try await Contract.admin()
        let ticket = try await acme.ticketPath(on: acme.channel())
        func post(_ text: String) async throws -> APIClient.Answer {
            try await acme.api.post(ticket + "/messages", ["text": text, "note": true])
        }

        for text in [
            String(repeating: "😀", count: 4096), " ", "\n\t", " lead and trail ", "\u{200F}שלום", "e\u{301}", "👨‍👩‍👧‍👦",
            "\u{2028}\u{FEFF}\u{10FFFF}", #"\"/<>&'"#,
        ] {
            #expect(try await post(text).string("text").map { Array($0.utf8) } == Array(text.utf8), "\(text.prefix(9))")
        }
        for text in ["", String(repeating: "😀", count: 4097), "a\rb", "\0", "\u{1B}[0m", "\u{7F}", "\u{9B}"] {
            #expect(try await post(text).problem == "422 /text", "\(text.prefix(9))")
        }
    }

    @Test(arguments: [
        (#"{}"#, "/text"), (#"{"text": null, "attachments": []}"#, "/text"), (#"{"text": "x", "foo": 1}"#, "/foo"),
        (#"{"text": "x", "note": "true"}"#, "/note"), (#"{"text": 5}"#, "/text"),
        (#"{"attachments": "x"}"#, "/attachments"), (#"{"attachments": ["x"]}"#, "/attachments/0"),
        (#"{"attachments": [{"type": "gif", "url": "https://example.com"}]}"#, "/attachments/0/type"),
        (#"{"attachments": [{"type": "image"}]}"#, "/attachments/0/url"),
        (#"{"attachments": [{"type": "image", "url": "ftp://example.com"}]}"#, "/attachments/0/url"),
        (#"{"attachments": [{"type": "image", "url": "javascript:alert(1)"}]}"#, "/attachments/0/url"),
        (#"{"attachments": [{"type": "image", "url": "https://example.com/a b"}]}"#, "/attachments/0/url"),
        (#"{"attachments": [{"type": "image", "url": "https://example.com/\u0000"}]}"#, "/attachments/0/url"),
        (#"{"template": {"name": "t"}}"#, "/template/language"),
        (#"{"template": {"name": "t", "language": "en"}, "note": true}"#, "/template"),
        (#"{"text": "x", "macroId": "01936f5e-7a00-7000-8000-000000000001"}"#, "/macroId"),
        (#"{"text": "x", "replyTo": "nope"}"#, "/replyTo"),
    ])
    func refuses(_ body: String, at pointer: String) async throws {
        let acme = try await Contract.bystander()
        let ticket = try await acme.ticketPath(on: acme.channel())

        #expect(try await acme.api.send("POST", ticket + "/messages", bytes: body).problem == "422 " + pointer)
        #expect(try await acme.api.get(ticket + "/messages").data.isEmpty)
    }

    @Test func anAttachmentAloneIsAMessageAndTenAreTheMost() async throws {
        let acme = try await Contract.admin()
        let ticket = try await acme.ticketPath(on: acme.channel())
        let picture = ["type": "image", "url": "https://example.com/ä.png"]
        func post(_ count: Int) async throws -> APIClient.Answer {
            try await acme.api.post(ticket + "/messages", ["attachments": Array(repeating: picture, count: count)])
        }

        let one = try await post(1)

        #expect(one.status == 201)
        #expect(one.string("text") == "")
        #expect(one.string("attachments.0.url") == picture["url"])
        #expect(try await post(10).status == 201)
        #expect(try await post(11).problem == "422 /attachments")
    }

    @Test func aQuotedMessageIsOneOfTheTicket() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        let (one, two) = (try await acme.ticketPath(on: channel), try await acme.ticketPath(on: channel))
        let quoted = try await acme.api.post(one + "/messages", ["text": "a"]).string("id") ?? ""

        let answer = try await acme.api.post(one + "/messages", ["text": "b", "replyTo": quoted.uppercased()])

        #expect(answer.string("replyTo") == quoted)
        #expect(try await acme.api.post(two + "/messages", ["text": "b", "replyTo": quoted]).problem == "422 /replyTo")
    }

    @Test func theTicketShowsTheNewestFiftyAndACursorToTheOthers() async throws {
        let acme = try await Contract.admin()
        let ticket = try await acme.ticketPath(on: acme.channel())
        for number in 0..<55 { _ = try await acme.api.post(ticket + "/messages", ["text": "\(number)", "note": true]) }

        let shown = try await acme.api.get(ticket)
        let cursor = shown.string("messagesNextCursor") ?? ""
        let older = try await acme.api.get(ticket + "/messages?order=desc&cursor=" + cursor)
        let all = try await acme.api.all(ticket + "/messages", limit: 7)

        let texts = (shown.object["messages"] as? [[String: Any]] ?? []).compactMap { $0["text"] as? String }
        #expect(texts == (5..<55).map(String.init))
        #expect(older.texts("text") == ["4", "3", "2", "1", "0"])
        #expect(older.object["nextCursor"] is NSNull)
        #expect(all.compactMap { $0["text"] as? String } == (0..<55).map(String.init))
        #expect(try await acme.api.get(ticket + "/messages").data.count == 25)
        #expect(try await acme.api.get(ticket + "/messages?cursor=" + cursor).problem == "422 cursor")
        #expect(try await acme.api.get(ticket + "/messages?order=up").problem == "422 order")
    }

    @Test func whatTheRecipientCantTakeFailsWithItsReason() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel(settings: ["outcome": "recipient"])
        let ticket = try await acme.ticketPath(on: channel, ["message": ["text": "hi"]])

        let failed = try await eventually {
            let answer = try await acme.api.get(ticket + "/messages")
            return answer.string("data.0.status") == "failed" ? answer : nil
        }

        #expect(failed.string("data.0.error.code") == "mock_recipient")
        #expect(failed.string("data.0.error.message")?.isEmpty == false)
    }
}
