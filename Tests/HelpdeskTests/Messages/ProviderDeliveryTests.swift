import Foundation
import Functions
import Postgres
import Redis
import TestSupport
import Testing

/// Messages on channels of real kinds, against a stand-in of their providers.
@Suite struct ProviderDeliveryTests {
    @Test(arguments: ["whatsapp", "facebook", "instagram", "twitter", "linkedin"])
    func sendsAnAnswerAndKeepsTheProvidersId(_ kind: String) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel(kind, jane), of: jane)
            #expect(try await world.send("Yes", id, as: jane).status == 201)

            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(provider.calls.count == 1)
            #expect(try await world.sends() == ["sent 1"])
            let external = try await world.column("SELECT external_id FROM messages WHERE direction = 'outbound'")
            #expect(external[0] != nil)
        })
    }

    // MARK: Classes

    @Test(arguments: [
        ("whatsapp", 131_026, "failed 131026 1"), ("whatsapp", 131_047, "failed 131047 1"),
        ("whatsapp", 132_001, "failed 132001 1"), ("whatsapp", 131_048, "failed 131048 1"),
        ("facebook", 551, "failed 551 1"), ("facebook", 100, "failed 100 1"),
    ])
    func aFinalRefusalFailsTheMessageAndHoldsNobody(_ kind: String, _ code: Int, _ expected: String) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel(kind, jane), of: jane)
            try await provider.answer(#"{"status": 400, "body": {"error": {"code": \#(code), "message": "No."}}}"#)
            for text in ["one", "two"] { _ = try await world.send(text, id, as: jane) }

            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(try await world.sends() == [expected, "sent 1"])
        })
    }

    @Test func aPersonWhoStoppedMarketingIsOptedOut() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel("whatsapp", jane), of: jane)
            try await provider.answer(#"{"status": 400, "body": {"error": {"code": 131050, "message": "No."}}}"#)
            _ = try await world.send("one", id, as: jane)

            _ = try await world.deliver(id, of: jane)

            #expect(try await world.show(id, as: jane)["contact.optedOut"] == true)
        })
    }

    @Test func aChannelWhoseAccessIsGoneKeepsItsQueueUntilThereAreNewCredentials() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel("whatsapp", jane)
            let id = try await world.conversation(line, of: jane)
            try await provider.answer(#"{"status": 401, "body": {"error": {"code": 190, "message": "Expired."}}}"#)
            for text in ["one", "two"] { _ = try await world.send(text, id, as: jane) }

            #expect(try await world.deliver(id, of: jane) == .done())
            let broken = try await world.call("get-channel", as: jane, path: ["channelId": line])
            let held = try await world.sends()
            #expect(try await world.deliver(id, of: jane) == .done())
            let callsWhileBroken = provider.calls.count
            let repaired = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": line],
                body: ["credentials": ["accessToken": "token-2"]]
            )
            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(broken["status"] == "error" && held == ["queued 0", "queued 0"])
            #expect(callsWhileBroken == 1)
            #expect(repaired["status"] == "active")
            #expect(try await world.sends() == ["sent 1", "sent 1"])
            #expect(
                provider.calls.map { $0.headers["authorization"] } == [
                    "Bearer token-1", "Bearer token-2", "Bearer token-2",
                ]
            )
            #expect(try await world.events(jane.organisation).contains("channel.updated"))
        })
    }

    @Test func aSharedLimitHoldsTheWholeChannelAndCostsNoAttempt() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel("twitter", jane)
            let id = try await world.conversation(line, of: jane)
            let other = try await world.ticket(jane, on: line, [.init("contact", ["handle": "jo"])])
            try await provider.answer(
                #"{"status": 429, "headers": {"Retry-After": "7200"}, "body": {"title": "Too Many Requests"}}"#
            )
            _ = try await world.send("one", id, as: jane)
            _ = try await world.send("two", other, as: jane)

            let first = try await world.deliver(id, of: jane)
            let second = try await world.deliver(other, of: jane)
            let waiting = try await world.sends()
            let calls = provider.calls.count
            try await world.passTime()
            let third = try await world.deliver(id, of: jane)

            // Longer than a job sleeps.
            #expect(first == .done() && second == .done() && third == .done())
            #expect(waiting == ["queued 0", "queued 0"] && calls == 1)
            #expect(try await world.sends().first == "sent 1")
        })
    }

    @Test func slowsDownBeforeALimitIsReached() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel("whatsapp", jane)
            let id = try await world.conversation(line, of: jane)
            try await provider.answer(
                #"{"headers": {"X-App-Usage": "{\"call_count\": 85}"}, "body": {"messages": [{"id": "wamid.1"}]}}"#
            )
            _ = try await world.send("one", id, as: jane)

            _ = try await world.deliver(id, of: jane)

            let factor = try await world.services.redis.command(["HGET", .string("pace:channel:\(line)"), "factor"])
            #expect(try await world.sends() == ["sent 1"])
            #expect(factor.string == "0.5")
        })
    }

    @Test func thePersonIsKnownByTheNumberThatTheProviderHasForThem() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel("whatsapp", jane), of: jane)
            let contact = #"{"input": "+4915550001", "wa_id": "49155500010"}"#
            try await provider.answer(#"{"body": {"contacts": [\#(contact)], "messages": [{"id": "wamid.1"}]}}"#)
            _ = try await world.send("one", id, as: jane)

            _ = try await world.deliver(id, of: jane)

            #expect(
                try await world.column("SELECT value FROM contact_identities WHERE kind = 'phone' ORDER BY value")
                    == ["+4915550001", "+49155500010"]
            )
            #expect(try await world.column("SELECT count(*) FROM contacts") == ["1"])
        })
    }

    // MARK: Lost answers

    @Test(arguments: ["whatsapp", "facebook"])
    func whatTheProviderTellsOfALostAnswerSettlesIt(_ kind: String) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel(kind, jane)
            let id = try await world.conversation(line, of: jane)
            try await provider.answer(#"{"cut": true}"#)
            let message = try await world.send("one", id, as: jane).text("id")

            let outcome = try await world.deliver(id, of: jane)
            _ =
                if kind == "whatsapp" {
                    try await world.change(
                        line,
                        [
                            .init("kind", "status"), .init("externalId", "wamid.1"),
                            .init("messageId", .string(message)),
                            .init("status", "delivered"),
                        ]
                    )
                } else {
                    try await world.change(
                        line,
                        [
                            .init("kind", "echo"), .init("externalId", "m_1"), .init("messageId", .string(message)),
                            .init("person", ["externalId": "7000000000000001"]), .init("text", "one"),
                        ]
                    )
                }
            try await world.passTime()
            _ = try await world.deliver(id, of: jane)

            guard case .snooze(let pause) = outcome, pause > .seconds(50) else { Issue.record("\(outcome)"); return }
            #expect(provider.calls.count == 1)
            #expect(try await world.sends() == [kind == "whatsapp" ? "delivered 1" : "sent 1"])
            #expect(
                try await world.column("SELECT external_id FROM messages WHERE direction = 'outbound'")
                    == [kind == "whatsapp" ? "wamid.1" : "m_1"]
            )
        })
    }

    @Test func whatNobodyToldOfForAMinuteIsSentAgainByWhoWasListening() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel("whatsapp", jane), of: jane)
            try await provider.answer(#"{"status": 502, "body": "<html>Bad gateway</html>"}"#)
            _ = try await world.send("one", id, as: jane)

            let outcome = try await world.deliver(id, of: jane)
            try await world.passTime()
            #expect(try await world.deliver(id, of: jane) == .done())

            guard case .snooze(let pause) = outcome, pause > .seconds(50) else { Issue.record("\(outcome)"); return }
            #expect(provider.calls.count == 2)
            #expect(try await world.sends() == ["sent 2"])
        })
    }

    /// What a process leaves that is killed while it sends.
    private func leaveUnanswered(_ world: World) async throws {
        _ = try await world.owner.query(
            """
            UPDATE messages SET attempts = 1, attempted_at = now(), first_attempted_at = now()
             WHERE direction = 'outbound'
            """
        )
    }

    @Test(arguments: ["whatsapp", "facebook", "instagram"])
    func afterACrashItWaitsForEvidenceAndNeverGuesses(_ kind: String) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel(kind, jane)
            let id = try await world.conversation(line, of: jane)
            _ = try await world.send("one", id, as: jane)
            try await leaveUnanswered(world)

            let outcome = try await world.deliver(id, of: jane)
            let waiting = try await world.sends()
            try await world.passTime()
            #expect(try await world.deliver(id, of: jane) == .done())

            guard case .snooze(let pause) = outcome, pause > .seconds(50) else { Issue.record("\(outcome)"); return }
            #expect(waiting == ["queued 1"])
            #expect(try await world.sends() == ["failed outcome_unknown 1"])
            #expect(provider.calls.allSatisfy { $0.method == "GET" })
        })
    }

    @Test func lateEvidenceMakesAnUnknownOutcomeKnown() async throws {
        try await World.with(providers: { world, _ in
            let jane = try await world.admin()
            let line = try await world.channel("whatsapp", jane)
            let id = try await world.conversation(line, of: jane)
            let message = try await world.send("one", id, as: jane).text("id")
            try await leaveUnanswered(world)
            _ = try await world.deliver(id, of: jane)
            try await world.passTime()
            _ = try await world.deliver(id, of: jane)

            _ = try await world.change(
                line,
                [
                    .init("kind", "status"), .init("externalId", "wamid.1"), .init("messageId", .string(message)),
                    .init("status", "sent"),
                ]
            )

            #expect(try await world.sends() == ["sent 1"])
        })
    }

    @Test(arguments: [true, false])
    func aLostAnswerOfXIsLookedUpInTheConversation(_ isThere: Bool) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel("twitter", jane), of: jane)
            let shown = isThere ? "a &amp; b" : "another"
            try await provider.answer(
                #"{"cut": true}"#,
                """
                {"body": {"data": [{"id": "1900000000000000001", "sender_id": "5550000001", "text": "\(shown)",
                 "created_at": "\(Date().rfc3339)"}]}}
                """
            )
            _ = try await world.send("a & b", id, as: jane)

            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(provider.calls.map(\.method) == ["POST", "GET"])
            #expect(try await world.sends() == [isThere ? "sent 1" : "failed outcome_unknown 1"])
        })
    }

    @Test func whatNeverLeftIsTriedAgain() async throws {
        let port = try FreePort.find()
        try await World.with(["META_GRAPH_URL": "http://127.0.0.1:\(port)"]) { world in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel("whatsapp", jane), of: jane)
            _ = try await world.send("one", id, as: jane)

            let outcome = try await world.deliver(id, of: jane)

            guard case .snooze(let pause) = outcome, pause < .seconds(10) else { Issue.record("\(outcome)"); return }
            #expect(try await world.sends() == ["queued 1"])
        }
    }

    // MARK: Parts

    private let attachments: JSON = [
        ["type": "image", "url": "https://files.example/a.png"],
        ["type": "file", "url": "https://files.example/b.pdf"],
    ]

    private func post(_ world: World, _ ticket: String, _ caller: Caller) async throws -> String {
        try await world.call(
            "send-message",
            as: caller,
            path: ["ticketId": ticket],
            body: ["text": "Both", "attachments": attachments]
        ).text("id")
    }

    @Test func sendsAMessageOfSeveralCallsInOrder() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel("facebook", jane), of: jane)
            _ = try await post(world, id, jane)

            #expect(try await world.deliver(id, of: jane) == .done())

            let kinds = provider.calls.map { call in ["\"text\"", "image", "file"].first { call.body.contains($0) } }
            #expect(kinds == ["\"text\"", "image", "file"])
            #expect(try await world.sends() == ["sent 1"])
            #expect(
                try await world.column("SELECT external_id FROM message_parts ORDER BY part")
                    == ["mid.standin.1", "mid.standin.2"]
            )
            #expect(try await world.show(id, as: jane)["messages.1.externalId"] == "mid.standin.3")
        })
    }

    @Test func goesOnBehindThePartsThatWereAccepted() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel("facebook", jane)
            let id = try await world.conversation(line, of: jane)
            let message = try await post(world, id, jane)
            try await provider.answer("{\"body\": {\"message_id\": \"m_1\"}}", #"{"cut": true}"#)

            // The second part's answer is lost, and its echo tells of it; so does the first one's, which is nobody else's message.
            _ = try await world.deliver(id, of: jane)
            for part in [1, 2] {
                _ = try await world.change(
                    line,
                    [
                        .init("kind", "echo"), .init("externalId", .string("m_\(part)")),
                        .init("messageId", .string(message)), .init("part", .number("\(part)")), .init("parts", 3),
                        .init("person", ["externalId": "7000000000000001"]), .init("text", ""),
                    ]
                )
            }
            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(provider.calls.count == 3)
            #expect(provider.calls.last?.body.contains("b.pdf") == true)
            #expect(try await world.sends() == ["sent 1"])
            #expect(try await world.column("SELECT external_id FROM message_parts ORDER BY part") == ["m_1", "m_2"])
        })
    }

    @Test func aRefusedPartFailsTheMessage() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let id = try await world.conversation(try await world.channel("facebook", jane), of: jane)
            _ = try await post(world, id, jane)
            let refusal = #"{"error": {"code": 100, "error_subcode": 2018047, "message": "Upload failed."}}"#
            try await provider.answer(#"{"body": {"message_id": "m_1"}}"#, #"{"status": 400, "body": \#(refusal)}"#)

            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(provider.calls.count == 2)
            #expect(try await world.sends() == ["failed 100/2018047 1"])
        })
    }

    @Test func aMessageIsDeliveredWhenItsLastPartIs() async throws {
        try await World.with(providers: { world, _ in
            let jane = try await world.admin()
            let line = try await world.channel("whatsapp", jane)
            let id = try await world.conversation(line, of: jane)
            _ = try await post(world, id, jane)
            _ = try await world.deliver(id, of: jane)

            func tell(_ external: String) async throws {
                _ = try await world.change(
                    line,
                    [.init("kind", "status"), .init("externalId", .string(external)), .init("status", "delivered")]
                )
            }
            try await tell("wamid.STANDIN1=")
            let before = try await world.sends()
            try await tell("wamid.STANDIN2=")

            #expect(before == ["sent 1"])
            #expect(try await world.sends() == ["delivered 1"])
        })
    }

    // MARK: Access tokens

    @Test func anExpiredTokenIsExchangedOnceByWhoeverComesFirst() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel(
                "twitter",
                jane,
                adding: [.init("refreshToken", "r"), .init("clientId", "c")]
            )
            let id = try await world.conversation(line, of: jane)
            let expired = #"{"status": 401, "body": {"title": "Unauthorized", "status": 401}}"#
            try await provider.answer(expired)
            _ = try await world.send("one", id, as: jane)

            var outcome = try await world.deliver(id, of: jane)
            while case .snooze = outcome {
                try await world.passTime()
                outcome = try await world.deliver(id, of: jane)
            }

            #expect(provider.calls.map(\.path).filter { $0 == "/2/oauth2/token" }.count == 1)
            #expect(provider.calls.last?.headers["authorization"] == "Bearer access-1")
            #expect(try await world.sends() == ["sent 2"])
            let shown = try await world.call("get-channel", as: jane, path: ["channelId": line])
            #expect(shown["status"] == "active")
            #expect(try await world.column("SELECT refreshed_at IS NOT NULL FROM channels") == ["t"])
        })
    }

    @Test func manyAtOnceExchangeItOnce() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel(
                "twitter",
                jane,
                adding: [.init("refreshToken", "r"), .init("clientId", "c")]
            )
            let id = try await world.conversation(line, of: jane)
            var tickets = [id]
            let contact = try await world.column("SELECT id::text FROM contacts")[0] ?? ""
            for _ in 0..<3 {
                tickets.append(try await world.ticket(jane, on: line, [.init("contactId", .string(contact))]))
            }
            for ticket in tickets { _ = try await world.send("one", ticket, as: jane) }
            let expired = #"{"status": 401, "body": {"title": "Unauthorized", "status": 401}, "delay": 0.3}"#
            try await provider.answer(expired, expired, expired, expired)

            try await withThrowingTaskGroup(of: Void.self) { group in
                for ticket in tickets { group.addTask { _ = try await world.deliver(ticket, of: jane) } }
                try await group.waitForAll()
            }

            #expect(provider.calls.filter { $0.path == "/2/oauth2/token" }.count == 1)
        })
    }

    @Test(arguments: [true, false])
    func aTokenThatCantBeExchangedNeedsAPerson(_ hasRefreshToken: Bool) async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel(
                "twitter",
                jane,
                adding: hasRefreshToken ? [.init("refreshToken", "r"), .init("clientId", "c")] : []
            )
            let id = try await world.conversation(line, of: jane)
            try await provider.answer(
                #"{"status": 401, "body": {"title": "Unauthorized", "status": 401}}"#,
                #"{"status": 400, "body": {"error": "invalid_grant"}}"#
            )
            _ = try await world.send("one", id, as: jane)

            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(try await world.call("get-channel", as: jane, path: ["channelId": line])["status"] == "error")
            #expect(try await world.sends() == ["queued 0"])
        })
    }

    // MARK: LinkedIn's places

    @Test func anAnswerOnLinkedInGoesUnderTheNewestCommentOrTheOneThatItQuotes() async throws {
        try await World.with(providers: { world, provider in
            let jane = try await world.admin()
            let line = try await world.channel("linkedin", jane)
            let id = try await world.conversation(line, of: jane, id: "urn:li:comment:(urn:li:activity:71,72)")
            _ = try await world.conversation(line, of: jane, id: "urn:li:comment:(urn:li:activity:81,82)")
            let first = try await world.column("SELECT id::text FROM messages ORDER BY accepted_at")[0] ?? ""
            _ = try await world.send("newest", id, as: jane)
            _ = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": id],
                body: ["text": "quoting", "replyTo": .string(first)]
            )

            #expect(try await world.deliver(id, of: jane) == .done())

            let posts = provider.calls.map { $0.body.contains("urn:li:activity:81") ? 81 : 71 }
            #expect(posts == [81, 71])
        })
    }
}
