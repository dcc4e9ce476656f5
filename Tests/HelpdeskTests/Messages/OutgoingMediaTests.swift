import Foundation
import Functions
import TestSupport
import Testing

/// Pictures and videos on X, whose files it is given.
@Suite struct OutgoingMediaTests {
    private func with(
        _ settings: [String: String] = ["EGRESS_ALLOW": "127.0.0.1"],
        _ body: (World, StandInProvider, MediaServer) async throws -> Void
    ) async throws {
        let media = try await MediaServer()
        try await World.with(settings, providers: { try await body($0, $1, media) })
    }

    /// Posts a message with these files on a conversation of X's, and delivers what can be.
    private func post(_ urls: [String], _ world: World, text: String? = "look") async throws -> (Caller, String) {
        let jane = try await world.admin()
        let id = try await world.conversation(try await world.channel("twitter", jane), of: jane)
        let attachments = urls.map { JSON.object([.init("type", "image"), .init("url", .string($0))]) }
        let reply = try await world.call(
            "send-message",
            as: jane,
            path: ["ticketId": id],
            body: ["text": text.map { .string($0) } ?? .null, "attachments": .array(attachments)]
        )
        #expect(reply.status == 201)
        _ = try await world.deliver(id, of: jane)
        return (jane, id)
    }

    @Test func theFirstGoesWithTheTextAndEachOtherByItself() async throws {
        try await with { world, provider, media in
            _ = try await post([media.url + "/files/photo.jpg", media.url + "/files/photo.jpg"], world)

            let sent = provider.calls.filter { $0.path.hasPrefix("/2/dm_conversations") }.map(\.body)
            #expect(sent.count == 2)
            #expect(sent.first?.contains(#""text":"look""#) == true && sent.first?.contains("media_id") == true)
            #expect(sent.last?.contains("text") == false && sent.last?.contains("media_id") == true)
            #expect(provider.calls.filter { $0.path.hasSuffix("/finalize") }.count == 2)
            #expect(try await world.sends() == ["sent 1"])
        }
    }

    @Test(arguments: [
        ("page", "failed media 1"), ("missing", "failed media 1"), ("inward", "failed media 1"),
        ("big", "failed media 1"), ("busy", "queued 1"),
    ])
    func aFileThatCantBeHadIsNotSent(_ name: String, _ expected: String) async throws {
        try await with { world, provider, media in
            _ = try await post([media.url + "/files/" + name], world)

            #expect(try await world.sends() == [expected])
            #expect(provider.calls.map(\.path) == [])
        }
    }

    @Test func asksNoAddressOfOurOwnNetwork() async throws {
        try await with([:]) { world, provider, media in
            _ = try await post([media.url + "/files/photo.jpg"], world)

            #expect(try await world.sends() == ["failed media 1"])
            #expect(media.requests == [])
        }
    }

    @Test func anUploadThatBreaksOffIsBegunAgainAndSentOnce() async throws {
        try await with { world, provider, media in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel("twitter", jane), of: jane)
            try await provider.answer(#"{"cut": true}"#)
            _ = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: ["attachments": [["type": "image", "url": .string(media.url + "/files/photo.jpg")]]]
            )

            var outcome = try await world.deliver(id, of: jane)
            while case .snooze = outcome {
                try await world.passTime()
                outcome = try await world.deliver(id, of: jane)
            }

            #expect(try await world.sends() == ["sent 2"])
            #expect(provider.calls.filter { $0.path.hasPrefix("/2/dm_conversations") }.count == 1)
        }
    }

    /// It shows there with a link behind its text.
    @Test func aLostAnswerIsLookedUpInTheConversation() async throws {
        try await with { world, provider, media in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel("twitter", jane), of: jane)
            try await provider.answer(
                #"{"body": {"data": {"id": "9"}}}"#,
                #"{"body": {}}"#,
                #"{"body": {"data": {"id": "9"}}}"#,
                #"{"cut": true}"#,
                """
                {"body": {"data": [{"id": "1900000000000000001", "sender_id": "5550000001", "text": "look https://t.co/x",
                 "created_at": "\(Date().rfc3339)"}]}}
                """
            )
            _ = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: [
                    "text": "look", "attachments": [["type": "image", "url": .string(media.url + "/files/photo.jpg")]],
                ]
            )

            _ = try await world.deliver(id, of: jane)

            #expect(try await world.sends() == ["sent 1"])
        }
    }
}
