import Foundation
import Functions
import Postgres
import TestSupport
import Testing

/// What is refused when it is posted, because the channel's provider would refuse it.
@Suite struct ChannelRulesTests {
    private static let image: JSON = ["type": "image", "url": "https://files.example/a.png"]
    private static let file: JSON = ["type": "file", "url": "https://files.example/a.pdf"]
    private static let template: JSON = ["name": "a", "language": "en"]

    /// An attachment of so many MiB.
    private static func sized(_ type: String, _ size: Int, _ mimeType: String? = nil) -> JSON {
        [
            "type": .string(type), "url": "https://files.example/a", "size": .number("\(size << 20)"),
            "mimeType": mimeType.map { .string($0) } ?? .null,
        ]
    }

    @Test(
        arguments: [
            ("instagram", ["text": .string(String(repeating: "é", count: 501))], "/text has 1002 bytes"),
            ("facebook", ["text": .string(String(repeating: "é", count: 2001))], "/text has 2001 characters"),
            ("linkedin", ["text": .string(String(repeating: "x", count: 1251))], "/text has 1251 characters"),
            ("twitter", ["text": "x", "attachments": [image, file]], "/attachments/1/type can't be file: X takes"),
            (
                "whatsapp", ["attachments": [sized("image", 6)]],
                "/attachments/0/size is more than the 5 MiB that WhatsApp"
            ),
            ("whatsapp", ["attachments": [image, sized("video", 17)]], "/attachments/1/size is more than the 16 MiB"),
            ("whatsapp", ["attachments": [sized("file", 101)]], "/attachments/0/size is more than the 100 MiB"),
            ("facebook", ["attachments": [sized("file", 26)]], "/attachments/0/size is more than the 25 MiB"),
            ("instagram", ["attachments": [sized("image", 9)]], "/attachments/0/size is more than the 8 MiB"),
            ("instagram", ["attachments": [sized("audio", 26)]], "/attachments/0/size is more than the 25 MiB"),
            ("twitter", ["attachments": [sized("image", 6)]], "/attachments/0/size is more than the 5 MiB that X"),
            ("twitter", ["attachments": [sized("video", 51)]], "/attachments/0/size is more than the 50 MiB"),
            ("linkedin", ["attachments": [image]], "/attachments/0 can't be sent: LinkedIn gets text only"),
            ("instagram", ["attachments": [image, file]], "/attachments/1/type can't be file"),
            ("facebook", ["template": template], "/template can't be sent here"),
            ("twitter", ["template": template], "/template can't be sent here"),
        ] as [(String, JSON, String)]
    )
    func saysWhatTheProviderDoesntTake(_ kind: String, _ body: JSON, _ expected: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel(kind, jane), of: jane)

            let reply = try await world.call("send-message", as: jane, path: ["ticketId": id], body: body)

            #expect(reply.status == 422)
            #expect(reply.faults.count == 1 && reply.faults[0].hasPrefix(expected), "\(reply.faults)")
            #expect(try await world.sends() == [])
        }
    }

    @Test(
        arguments: [
            ("instagram", ["text": .string(String(repeating: "é", count: 500))]),
            ("facebook", ["text": .string(String(repeating: "é", count: 2000))]),
            ("linkedin", ["text": .string(String(repeating: "x", count: 1250))]),
            ("twitter", ["text": .string(String(repeating: "x", count: 4096))]),
            ("instagram", ["attachments": [image]]), ("facebook", ["attachments": [image, file]]),
            ("whatsapp", ["attachments": [image, file]]), ("twitter", ["text": "x", "attachments": [image, image]]),
            ("whatsapp", ["attachments": [sized("image", 5), sized("audio", 16), sized("file", 100)]]),
            ("twitter", ["attachments": [sized("image", 15, "image/gif"), sized("video", 50)]]),
            ("instagram", ["attachments": [sized("image", 8), sized("video", 25)]]),
        ] as [(String, JSON)]
    )
    func takesWhatTheProviderTakes(_ kind: String, _ body: JSON) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel(kind, jane), of: jane)

            #expect(try await world.call("send-message", as: jane, path: ["ticketId": id], body: body).status == 201)
        }
    }

    /// Hours since the contact wrote, who answers, and what comes of it.
    @Test(
        arguments: [
            ("whatsapp", 23.9, true, nil), ("whatsapp", 24.1, true, "/template is required"),
            ("facebook", 23.9, false, nil), ("facebook", 24.1, true, nil),
            ("facebook", 24.1, false, "/text can't be sent: the contact's last message is more than 24 hours old"),
            ("facebook", 7 * 24 - 0.1, true, nil),
            ("facebook", 7 * 24 + 0.1, true, "/text can't be sent: the contact's last message is more than 7 days old"),
            ("instagram", 24.1, true, nil),
            ("instagram", 24.1, false, "/text can't be sent: the contact's last message is more than 24 hours old"),
            ("twitter", 9999, false, nil), ("linkedin", 9999, false, nil),
        ] as [(String, Double, Bool, String?)]
    )
    func holdsTheCustomerWindow(_ kind: String, _ hours: Double, _ isPerson: Bool, _ expected: String?) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel(kind, jane), of: jane, hoursAgo: hours)
            let made = try await world.call("create-api-key", as: jane, body: ["name": "bot", "role": "agent"])

            let reply = try await world.call(
                "send-message",
                as: isPerson ? jane : nil,
                with: isPerson ? nil : made.text("key"),
                path: ["ticketId": id],
                body: ["text": "Yes"]
            )
            // A note goes to nobody.
            let note = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: ["text": "Hm", "note": true]
            )

            #expect(reply.status == (expected == nil ? 201 : 422))
            if let expected { #expect(reply.faults.first?.hasPrefix(expected) == true, "\(reply.faults)") }
            #expect(note.status == 201)
        }
    }

    @Test func nothingGoesBesideATemplateOutsideTheWindow() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let line = try await world.channel("whatsapp", jane)
            let id = try await world.conversation(line, of: jane, hoursAgo: 30)

            let reply = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: ["template": Self.template, "text": "Besides"]
            )

            #expect(
                reply.faults == [
                    "/text can't go beside the template: the contact's last message is more than 24 hours old"
                ]
            )
        }
    }

    @Test(arguments: ["facebook", "instagram"])
    func aPageCantWriteFirst(_ kind: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let line = try await world.channel(kind, jane)

            let reply = try await world.call(
                "create-ticket",
                as: jane,
                body: [
                    "channelId": .string(line), "contact": ["handle": "jo"], "message": ["text": "Hello"],
                ]
            )

            #expect(reply.faults == ["/message/text can't be sent: the contact has to write first on this channel"])
            #expect(try await world.column("SELECT count(*) FROM tickets") == ["0"])
        }
    }
}
