import Foundation
import Functions
import Helpdesk
import Postgres
import Queue
import Testing

@Suite struct ApplyChangeTests {
    /// A channel on which Kim has written `in-1`, answered by `out-1`, which the phone's own app sent.
    private static func conversation(_ world: World) async throws -> (channel: String, ticket: String, jane: Caller) {
        let jane = try await world.admin()
        let web = try await world.mock(jane)
        try await world.receive(web, .init(text: "hello", id: "in-1"))
        try await world.apply(web, ["kind": "echo", "externalId": "out-1", "person": kim, "text": "hi there"])
        return (web, try await world.call("list-tickets", as: jane).text("data.0.id"), jane)
    }

    private static let kim: JSON = ["phone": "+4915550001"]

    @Test func anEchoIsAnAnswerOfOurSideAndNeverReopens() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let echo: JSON = ["kind": "echo", "externalId": "out-1", "person": Self.kim, "text": "hi there"]
            try await world.receive(web, .init(text: "hello", id: "in-1"))
            let ticket = try await world.call("list-tickets", as: jane).text("data.0.id")
            _ = try await world.call("close-ticket", as: jane, path: ["ticketId": ticket])

            #expect(try await world.apply(web, echo, echo) == [.done(), .done()])
            try await world.apply(web, echo)

            let shown = try await world.show(ticket, as: jane)
            #expect(shown["status"] == "closed")
            #expect(shown["unreadCount"] == 0)
            #expect(shown["messages"]?.array?.map { $0["text"] } == ["hello", "hi there"])
            #expect(shown["messages.1.direction"] == "outbound")
            #expect(shown["messages.1.author.type"] == "system")
            #expect(shown["messages.1.status"] == "sent")
            #expect(try await world.column("SELECT count(*) FROM tickets") == ["1"])
        }
    }

    @Test func anEchoToSomebodyNewOpensTheirTicket() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            try await world.apply(
                web,
                ["kind": "echo", "externalId": "out-1", "person": ["externalId": "8812", "name": "Kim"], "text": "hi"]
            )

            let list = try await world.call("list-tickets", as: jane)
            #expect(list["data.0.contact.name"] == "Kim")
            #expect(list["data.0.unreadCount"] == 0)
            #expect(try await world.column("SELECT last_inbound_provider_at FROM conversations") == [nil])
        }
    }

    /// Whatever the order, and however often: the status ends at the highest, its times are filled in.
    @Test(arguments: [
        (["sent", "delivered", "read"], "read"), (["read", "delivered", "sent"], "read"), (["delivered"], "delivered"),
        (["delivered", "failed"], "delivered"), (["failed", "delivered"], "delivered"), (["sent", "failed"], "failed"),
        (["failed", "sent"], "failed"), (["read", "read"], "read"),
    ])
    func statusesMoveForwardOnly(_ statuses: [String], _ end: String) async throws {
        try await World.with { world in
            let (web, _, _) = try await Self.conversation(world)

            for status in statuses {
                try await world.apply(
                    web,
                    [
                        "kind": "status", "externalId": "out-1", "status": .string(status), "code": "131026",
                        "at": "2026-11-22T10:00:00Z",
                    ]
                )
            }

            #expect(
                try await world.column(
                    """
                    SELECT concat_ws(' ', status, sent_at IS NOT NULL, delivered_at IS NOT NULL, read_at IS NOT NULL, error_code)
                      FROM messages WHERE external_id = 'out-1'
                    """
                ) == [
                    [
                        "delivered": "delivered t t f", "read": "read t t t", "failed": "failed t f f 131026",
                    ][end]
                ]
            )
        }
    }

    @Test func aStatusThatOvertakesItsEchoIsAppliedWhenTheEchoComes() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "hello", id: "in-1"))

            try await world.apply(
                web,
                ["kind": "status", "externalId": "out-1", "status": "read", "at": "2026-11-22T10:00:00Z"]
            )
            try await world.apply(web, ["kind": "echo", "externalId": "out-1", "person": Self.kim, "text": "hi there"])

            #expect(try await world.column("SELECT status FROM messages WHERE external_id = 'out-1'") == ["read"])
            #expect(try await world.column("SELECT count(*) FROM early_statuses") == ["0"])
        }
    }

    @Test func aStatusThatOvertakesItsSendIsAppliedWhenTheSendIsRecorded() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let ticket = try await world.ticket(jane, on: web)
            let message = try await world.send("hello", ticket, as: jane).text("id")

            let read: JSON = [
                "kind": "status", "externalId": .string("mock-\(message)"), "status": "read",
                "at": "2026-11-22T10:00:00Z",
            ]
            #expect(try await world.apply(web, read) == [.done()])
            #expect(try await world.column("SELECT status FROM early_statuses") == ["read"])
            _ = try await world.deliver(ticket, of: jane)

            #expect(try await world.column("SELECT status FROM messages") == ["read"])
            #expect(try await world.column("SELECT status FROM early_statuses") == [])
        }
    }

    @Test func aSendWhoseAnswerWasLostIsKnownByOurOwnId() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let ticket = try await world.ticket(jane, on: web)
            let message = try await world.send("hello", ticket, as: jane).text("id")

            try await world.apply(
                web,
                ["kind": "status", "externalId": "p-1", "messageId": .string(message), "status": "sent"]
            )

            #expect(try await world.column("SELECT status || ' ' || external_id FROM messages") == ["sent p-1"])
        }
    }

    @Test func aReceiptUpToAMomentOrAnIdCoversWhatWasSentBefore() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            for (id, at) in [
                ("100", "2026-11-22T10:00:00Z"), ("200", "2026-11-22T10:00:01Z"), ("300", "2026-11-22T10:00:02Z"),
            ] {
                try await world.apply(
                    web,
                    ["kind": "echo", "externalId": .string(id), "person": Self.kim, "text": "x", "at": .string(at)]
                )
            }
            func statuses() async throws -> [String?] {
                try await world.column("SELECT status FROM messages ORDER BY external_id")
            }

            try await world.apply(
                web,
                ["kind": "reach", "person": Self.kim, "status": "delivered", "at": "2026-11-22T10:00:01Z"]
            )
            let delivered = try await statuses()
            try await world.apply(
                web,
                ["kind": "reach", "person": Self.kim, "status": "read", "number": 100, "at": "2026-11-22T10:00:05Z"]
            )
            let numbered = try await statuses()
            try await world.apply(
                web,
                ["kind": "reach", "person": Self.kim, "status": "read", "externalId": "200"]
            )

            #expect(delivered == ["delivered", "delivered", "sent"])
            #expect(numbered == ["read", "delivered", "sent"])
            #expect(try await statuses() == ["read", "read", "sent"])
        }
    }

    /// As much is known of a message that is recorded after the receipt which covers it.
    @Test(
        arguments: [
            ["person": kim, "status": "read", "at": "2026-11-22T10:00:01Z"],
            ["person": kim, "status": "read", "number": 200],
        ] as [JSON]
    )
    func aReceiptThatOvertakesWhatItCoversHoldsAllTheSame(_ receipt: JSON) async throws {
        try await World.with { world in
            let (web, _, _) = try await Self.conversation(world)
            let members = receipt.members ?? []
            try await world.apply(web, .object([.init("kind", "reach")] + members))

            for (id, at) in [("100", "2026-11-22T10:00:00Z"), ("300", "2026-11-22T10:00:02Z")] {
                try await world.apply(
                    web,
                    ["kind": "echo", "externalId": .string(id), "person": Self.kim, "text": "x", "at": .string(at)]
                )
            }

            #expect(
                try await world.column("SELECT status FROM messages WHERE external_id ~ '^[0-9]' ORDER BY external_id")
                    == ["read", "sent"]
            )
        }
    }

    @Test func aReceiptOfSomebodyUnknownWaitsForThem() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let receipt: JSON = ["kind": "reach", "person": Self.kim, "status": "read", "at": "2026-11-22T10:00:01Z"]

            let early = try await world.apply(web, receipt)
            try await world.apply(
                web,
                ["kind": "echo", "externalId": "1", "person": Self.kim, "text": "x", "at": "2026-11-22T10:00:00Z"]
            )
            let late = try await world.apply(web, receipt)

            #expect(early != [.done()])
            #expect(late == [.done()])
            #expect(try await world.column("SELECT status FROM messages") == ["read"])
        }
    }

    @Test func theNewestReactionStandsWhateverTheOrder() async throws {
        try await World.with { world in
            let (web, ticket, jane) = try await Self.conversation(world)
            func react(_ emoji: JSON, _ second: Int) async throws -> JSON? {
                try await world.apply(
                    web,
                    [
                        "kind": "reaction", "externalId": "out-1", "person": Self.kim, "emoji": emoji,
                        "at": .string("2026-11-22T10:00:0\(second)Z"),
                    ]
                )
                return try await world.show(ticket, as: jane)["messages.1.reactions"]
            }

            #expect(try await react("👍", 2) == [["by": "contact", "emoji": "👍"]])
            #expect(try await react("👎", 1) == [["by": "contact", "emoji": "👍"]])
            #expect(try await react(.null, 4) == [])
            #expect(try await react("👎", 3) == [])
            #expect(try await react("❤️", 5) == [["by": "contact", "emoji": "❤️"]])
        }
    }

    @Test func theNewestEditStandsAndWhatIsTakenBackIsErased() async throws {
        try await World.with { world in
            let (web, _, _) = try await Self.conversation(world)
            func edit(_ text: String, _ number: Int) -> JSON {
                [
                    "kind": "edit", "externalId": "in-1", "person": Self.kim, "text": .string(text),
                    "number": .number("\(number)"),
                ]
            }
            func text() async throws -> [String?] {
                try await world.column("SELECT text FROM messages WHERE external_id = 'in-1'")
            }

            try await world.apply(web, edit("second", 2))
            try await world.apply(web, edit("first", 1))
            #expect(try await text() == ["second"])
            try await world.apply(web, ["kind": "unsend", "externalId": "in-1"])
            try await world.apply(web, edit("third", 3))
            try await world.receive(web, .init(text: "hello", id: "in-1"))

            #expect(try await text() == [""])
            #expect(
                try await world.column(
                    "SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL AND attachments = '[]'"
                )
                    == ["1"]
            )
        }
    }

    @Test func whatIsAboutAMessageStillToComeWaitsForIt() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let unsend: JSON = ["kind": "unsend", "externalId": "in-1"]
            let now = Int64(Date().timeIntervalSince1970 * 1_000_000)

            let early = try await world.apply(web, unsend, acceptedAt: now)
            let late = try await world.apply(web, unsend, acceptedAt: now - 3_700_000_000)
            try await world.receive(web, .init(text: "hello", id: "in-1"))
            try await world.apply(web, unsend)

            guard case .snooze? = early.first else {
                Issue.record("it did not wait: \(early)")
                return
            }
            #expect(late == [.done()])
            #expect(try await world.column("SELECT text FROM messages") == [""])
        }
    }

    @Test func anEditWhoseMessageNeverCameBecomesIt() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let edit: JSON = [
                "kind": "edit", "externalId": "in-1", "person": Self.kim, "text": "better", "number": 7,
            ]
            let then = Int64(Date().timeIntervalSince1970 * 1_000_000) - 10_000_000

            try await world.apply(web, edit, acceptedAt: then)
            _ = try await world.work("receive-message", try await world.queued("inbound"))
            #expect(try await world.apply(web, edit, acceptedAt: then) == [.done()])
            try await world.receive(web, .init(text: "worse", id: "in-1"))

            #expect(try await world.column("SELECT text || ' ' || edit_number FROM messages") == ["better 7"])
        }
    }

    @Test func theOriginalTellsTheRestOfWhatItsEditStoodFor() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let edit: JSON = [
                "kind": "edit", "externalId": "in-1", "person": Self.kim, "text": "better", "number": 7,
                "at": "2026-11-22T10:05:00Z",
            ]
            let then = Int64(Date().timeIntervalSince1970 * 1_000_000) - 10_000_000
            try await world.apply(web, edit, acceptedAt: then)
            _ = try await world.work("receive-message", try await world.queued("inbound"))
            try await world.apply(web, edit, acceptedAt: then)
            let alone = try await world.column("SELECT last_inbound_provider_at FROM conversations")

            var original = World.Inbound(text: "worse", id: "in-1", replyTo: "in-0").data(web).members ?? []
            original.append(.init("attachments", [["type": "image", "url": "https://cdn.example/1.png"]]))
            original.removeAll { $0.name == "providerAt" }
            original.append(.init("providerAt", "2026-11-22T10:00:00Z"))
            _ = try await world.work("receive-message", [.object(original)])

            #expect(alone == [nil])
            #expect(
                try await world.column(
                    """
                    SELECT concat_ws(' ', m.text, m.attachments -> 0 ->> 'type', m.quotes, m.metadata, m.provider_at = v.last_inbound_provider_at,
                                     (SELECT count(*) FROM attachments))
                      FROM messages m, conversations v
                    """
                ) == ["better image in-0 t 1"]
            )
        }
    }

    @Test func theNewestReferralStandsAndOneOfSomebodyUnknownWaitsForThem() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            func refer(_ name: String, _ second: Int) async throws -> [Outcome] {
                try await world.apply(
                    web,
                    [
                        "kind": "referral", "person": Self.kim, "metadata": ["ref": .string(name)],
                        "at": .string("2026-11-22T10:00:0\(second)Z"),
                    ]
                )
            }

            let early = try await refer("second", 2)
            try await world.receive(web, .init(text: "hello", id: "in-1"))
            let late = [try await refer("second", 2), try await refer("first", 1)]

            guard case .snooze? = early.first else {
                Issue.record("it did not wait: \(early)")
                return
            }
            #expect(late == [[.done()], [.done()]])
            #expect(try await world.column("SELECT referral ->> 'ref' FROM contacts") == ["second"])
        }
    }

    /// Whatever came first: each message has the time of the earliest receipt that covers it.
    @Test(arguments: [["01", "02"], ["02", "01"]])
    func aReceiptsTimeIsTheEarliestThatCovers(_ order: [String]) async throws {
        try await World.with { world in
            let (web, _, _) = try await Self.conversation(world)
            try await world.apply(
                web,
                ["kind": "echo", "externalId": "100", "person": Self.kim, "text": "x", "at": "2026-11-22T10:00:00Z"]
            )

            for second in order {
                try await world.apply(
                    web,
                    [
                        "kind": "reach", "person": Self.kim, "status": "read",
                        "at": .string("2026-11-22T10:00:\(second)Z"),
                    ]
                )
            }
            try await world.apply(
                web,
                ["kind": "echo", "externalId": "101", "person": Self.kim, "text": "x", "at": "2026-11-22T10:00:00Z"]
            )

            #expect(
                try await world.column(
                    "SELECT DISTINCT (read_at = '2026-11-22T10:00:01Z')::text FROM messages WHERE external_id ~ '^1'"
                ) == ["true"]
            )
        }
    }

    @Test func aNewNumberIsTheSamePersonAndTheSameTicket() async throws {
        try await World.with { world in
            let (web, ticket, jane) = try await Self.conversation(world)
            let change: JSON = ["kind": "identity", "person": Self.kim, "successor": ["phone": "+4915550009"]]

            try await world.apply(web, change)
            try await world.apply(web, change)
            try await world.receive(web, .init(text: "it is me", phone: "+4915550009"))

            #expect(try await world.column("SELECT phone FROM contacts") == ["+4915550009"])
            #expect(try await world.show(ticket, as: jane)["messages"]?.array?.count == 3)
        }
    }

    @Test func aNumberThatSomebodyElseHadBeforeStaysTheirs() async throws {
        try await World.with { world in
            let (web, _, _) = try await Self.conversation(world)
            try await world.receive(web, .init(text: "somebody else", phone: "+4915550009"))

            try await world.apply(
                web,
                ["kind": "identity", "person": Self.kim, "successor": ["phone": "+4915550009"]]
            )

            #expect(
                try await world.column("SELECT phone FROM contacts WHERE gone_at IS NULL ORDER BY phone")
                    == ["+4915550001", "+4915550009"]
            )
        }
    }

    @Test func aNewNumberThatMadeTwoContactsOneIsAudited() async throws {
        try await World.with { world in
            let (web, _, _) = try await Self.conversation(world)
            try await world.receive(web, .init(text: "it is me", phone: "+4915550009"))
            let change: JSON = [
                "kind": "identity", "person": Self.kim, "successor": ["phone": "+4915550009"],
                "at": .string(Date().addingTimeInterval(-60).rfc3339),
            ]

            try await world.apply(web, change)
            try await world.apply(web, change)

            #expect(try await world.column("SELECT phone FROM contacts WHERE gone_at IS NULL") == ["+4915550009"])
            #expect(
                try await world.column(
                    """
                    SELECT concat_ws(' ', a.actor_type, a.action, a.changes #>> '{contactId,from}' = g.id::text, a.entity_id = k.id)
                      FROM audit a, contacts g, contacts k
                     WHERE a.action = 'contact.merge' AND g.gone_at IS NOT NULL AND k.gone_at IS NULL
                    """
                ) == ["system contact.merge t t"]
            )
        }
    }

    @Test(arguments: [[0, 1], [1, 0], [0, 1, 0], [1, 0, 1], [0, 1, 0, 1]])
    func aNumberThatIsTakenBackIsThePersonsAgain(order: [Int]) async throws {
        try await World.with { world in
            let (web, ticket, jane) = try await Self.conversation(world)
            let moved = Date().addingTimeInterval(-120)
            let changes: [JSON] = [
                [
                    "kind": "identity", "person": Self.kim, "successor": ["phone": "+4915550009"],
                    "at": .string(moved.rfc3339),
                ],
                [
                    "kind": "identity", "person": ["phone": "+4915550009"], "successor": Self.kim,
                    "at": .string(moved.addingTimeInterval(60).rfc3339),
                ],
            ]

            for place in order { try await world.apply(web, changes[place]) }
            try await world.receive(web, .init(text: "back again", phone: "+4915550001"))

            #expect(try await world.column("SELECT phone FROM contacts WHERE gone_at IS NULL") == ["+4915550001"])
            #expect(try await world.show(ticket, as: jane)["messages"]?.array?.count == 3)
        }
    }

    @Test func whoGetsAnOldNumberLaterIsSomebodyElse() async throws {
        try await World.with { world in
            let (web, _, jane) = try await Self.conversation(world)
            let moved = Date().addingTimeInterval(-3600)
            func message(_ text: String, _ at: Date) -> JSON {
                [
                    "channelId": .string(web), "externalId": .string(text), "text": .string(text),
                    "sender": ["phone": "+4915550001"], "providerAt": .string(at.rfc3339),
                ]
            }
            try await world.apply(
                web,
                [
                    "kind": "identity", "person": Self.kim, "successor": ["phone": "+4915550009"],
                    "at": .string(moved.rfc3339),
                ]
            )

            _ = try await world.work("receive-message", [message("before", moved.addingTimeInterval(-1))])
            _ = try await world.work("receive-message", [message("after", moved.addingTimeInterval(1))])

            #expect(
                try await world.column(
                    """
                    SELECT m.text || ' ' || c.phone FROM messages m JOIN contacts c ON c.id = m.contact_id
                     WHERE m.text IN ('before', 'after') ORDER BY m.text
                    """
                ) == ["after +4915550001", "before +4915550009"]
            )
            let contact = try await world.column("SELECT id::text FROM contacts WHERE phone = '+4915550009'")[0] ?? "-"
            let shown = try await world.call("get-contact", as: jane, path: ["contactId": contact])
            #expect(shown["identities"]?.array?.count == 1)
        }
    }

    @Test func theNewestPreferenceHolds() async throws {
        try await World.with { world in
            let (web, _, _) = try await Self.conversation(world)
            func prefer(_ isOut: Bool, _ second: Int) async throws -> [String?] {
                try await world.apply(
                    web,
                    [
                        "kind": "preference", "person": Self.kim, "isOptOut": .bool(isOut),
                        "at": .string("2026-11-22T10:00:0\(second)Z"),
                    ]
                )
                return try await world.column("SELECT opted_out FROM contacts")
            }

            #expect(try await prefer(true, 2) == ["t"])
            #expect(try await prefer(false, 1) == ["t"])
            #expect(try await prefer(false, 3) == ["f"])
        }
    }

    @Test func accessThatWasTakenAwayStopsTheChannel() async throws {
        try await World.with { world in
            let (web, _, jane) = try await Self.conversation(world)

            try await world.apply(web, ["kind": "revoked", "text": "gone"])
            try await world.apply(web, ["kind": "revoked", "text": "gone"])

            #expect(try await world.column("SELECT status || ' ' || status_reason FROM channels") == ["error gone"])
            let events = try await world.events(jane.organisation)
            #expect(events.count { $0 == "channel.updated" } == 1)
        }
    }

    @Test func whatNobodyCouldReadIsDiscardedForSafekeeping() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            let outcomes = try await world.apply(
                web,
                ["kind": "unreadable", "reason": "a message without an id", "raw": ["a": 1]],
                ["kind": "reaction", "emoji": "👍"]
            )

            #expect(
                outcomes == [.discard("a message without an id"), .discard("data/externalId is missing")]
            )
        }
    }

    @Test func anotherChannelsMessageIsNotChanged() async throws {
        try await World.with { world in
            let (_, _, _) = try await Self.conversation(world)
            let stranger = try await world.admin()
            let other = try await world.mock(stranger)

            try await world.apply(other, ["kind": "status", "externalId": "out-1", "status": "read"])
            try await world.apply(other, ["kind": "edit", "externalId": "in-1", "text": "x", "number": 1])

            #expect(
                try await world.column("SELECT text || ' ' || status FROM messages ORDER BY accepted_at")
                    == ["hello received", "hi there sent"]
            )
        }
    }
}

extension World {
    /// Applies changes to a channel, all in one batch.
    @discardableResult
    fileprivate func apply(_ channel: String, _ changes: JSON..., acceptedAt: Int64? = nil) async throws -> [Outcome] {
        let jobs = changes.map { change in
            JSON.object((change.members ?? []) + [.init("channelId", .string(channel))])
        }
        return try await work("apply-change", jobs, acceptedAt: acceptedAt)
    }
}
