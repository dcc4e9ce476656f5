import Foundation
import Functions
import Helpdesk
import Postgres
import Queue
import Testing

@Suite struct ReceiveMessageTests {
    @Test func quotesAMessageOfItsOwnBatch() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            try await world.receive(
                web,
                .init(text: "one", id: "m1"),
                .init(text: "two", id: "m2", replyTo: "m1"),
                .init(text: "three", id: "m3", replyTo: "m3"),
                .init(text: "four", id: "m4", replyTo: "m0")
            )

            let ticket = try await world.call("list-tickets", as: jane).text("data.0.id")
            let messages = try await world.show(ticket, as: jane)["messages"]?.array ?? []
            #expect(messages.map { $0["replyTo"] } == [.null, messages.first?["id"], .null, .null])
        }
    }

    @Test func quotesAMessageThatComesLater() async throws {
        try await World.with { world in
            let web = try await world.mock(try await world.admin())

            try await world.receive(web, .init(text: "that one", id: "in-2", replyTo: "in-1"))
            try await world.receive(web, .init(text: "hello", id: "in-1"))

            #expect(
                try await world.column(
                    """
                    SELECT concat_ws(' ', m.external_id, q.external_id, m.quotes)
                      FROM messages m LEFT JOIN messages q ON q.id = m.reply_to ORDER BY m.external_id
                    """
                ) == ["in-1", "in-2 in-1"]
            )
        }
    }

    @Test func aNameReplacesAnIdThatStoodForItAndNoIdAName() async throws {
        try await World.with { world in
            let web = try await world.mock(try await world.admin())
            func write(_ name: String?) async throws -> [String?] {
                let sender: [JSON.Member] =
                    [.init("externalId", "8812")] + (name.map { [.init("name", .string($0))] } ?? [])
                _ = try await world.work(
                    "receive-message",
                    [
                        [
                            "channelId": .string(web), "externalId": .string(UUID().uuidString), "text": "hello",
                            "sender": .object(sender),
                        ]
                    ]
                )
                return try await world.column("SELECT name FROM contacts")
            }

            #expect(try await write(nil) == ["8812"])
            #expect(try await write("Kim") == ["Kim"])
            #expect(try await write(nil) == ["Kim"])
        }
    }

    @Test func opensATicketWithItsContactAndKeepsTheOrderOfAcceptance() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            let outcomes = try await world.receive(
                web,
                .init(text: "one", name: "Kim", id: "m1"),
                .init(text: "two", id: "m2"),
                .init(text: "three", phone: "+4915550002")
            )

            #expect(outcomes == [.done(), .done(), .done()])
            let list = try await world.call("list-tickets", as: jane, query: [("sort", "createdAt")])
            #expect(list["data.0.number"] == 1)
            #expect(list["data.0.contact.name"] == "Kim")
            #expect(list["data.0.unreadCount"] == 2)
            #expect(list["data.1.contact.name"] == "+4915550002")
            #expect(list["data"]?.array?.count == 2)
            let shown = try await world.show(list.text("data.0.id"), as: jane)
            #expect(shown["messages"]?.array?.map { $0["text"] } == ["one", "two"])
            #expect(shown["messages.0.author.type"] == "contact")
            #expect(shown["messages.0.status"] == "received")
            #expect(shown["messages.0.externalId"] == "m1")
            #expect(
                try await world.events(jane.organisation)
                    == ["ticket.created", "ticket.created", "message.created", "message.created", "message.created"]
            )
        }
    }

    @Test func aMessageSeenBeforeChangesNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "one", id: "m1"), .init(text: "one again", id: "m1"))
            let before = try await world.column("SELECT count(*) FROM events")

            let outcomes = try await world.receive(web, .init(text: "other", phone: "+4915550099", id: "m1"))

            #expect(outcomes == [.done()])
            #expect(try await world.column("SELECT text FROM messages") == ["one"])
            #expect(try await world.column("SELECT phone FROM contacts") == ["+4915550001"])
            #expect(try await world.column("SELECT unread_count FROM tickets") == ["1"])
            #expect(try await world.column("SELECT count(*) FROM events") == before)
        }
    }

    @Test func reopensWhatWasClosedLatelyAndOpensAnewAfterwards() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "one"))
            let first = try await world.call("list-tickets", as: jane).text("data.0.id")
            _ = try await world.call("close-ticket", as: jane, path: ["ticketId": first])

            try await world.receive(web, .init(text: "two"))
            let reopened = try await world.show(first, as: jane)
            _ = try await world.call("close-ticket", as: jane, path: ["ticketId": first])
            _ = try await world.owner.query("UPDATE tickets SET closed_at = now() - interval '25 hours'")
            try await world.receive(web, .init(text: "three"))

            #expect(reopened["status"] == "open")
            #expect(reopened["closedAt"] == .null)
            #expect(try await world.column("SELECT status FROM tickets ORDER BY number") == ["closed", "open"])
            #expect(try await world.column("SELECT count(*) FROM contacts") == ["1"])
        }
    }

    @Test func neverReopensWhereTheOrganisationSaysSo() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            _ = try await world.call(
                "update-organisation",
                as: jane,
                path: ["orgId": "\(jane.organisation)"],
                body: ["settings": ["reopenWithinHours": 0]]
            )
            try await world.receive(web, .init(text: "one"))
            let first = try await world.call("list-tickets", as: jane).text("data.0.id")
            _ = try await world.call("close-ticket", as: jane, path: ["ticketId": first])

            try await world.receive(web, .init(text: "two"))

            #expect(try await world.column("SELECT status FROM tickets ORDER BY number") == ["closed", "open"])
        }
    }

    @Test func aPendingTicketBecomesOpen() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "one"))
            let id = try await world.call("list-tickets", as: jane).text("data.0.id")
            _ = try await world.call("update-ticket", as: jane, path: ["ticketId": id], body: ["status": "pending"])

            try await world.receive(web, .init(text: "two"))

            #expect(try await world.show(id, as: jane)["status"] == "open")
        }
    }

    @Test func manyAtTheSameInstantMakeOneContactAndOneTicket() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<24 {
                    group.addTask {
                        let outcomes = try await world.receive(
                            web,
                            .init(text: "a\(number)"),
                            .init(text: "b\(number)", phone: "+4915550002", handle: "kim")
                        )
                        #expect(outcomes == [.done(), .done()])
                    }
                }
                try await group.waitForAll()
            }

            #expect(try await world.column("SELECT count(*) FROM contacts") == ["2"])
            #expect(try await world.column("SELECT count(*) || ' ' || sum(unread_count) FROM tickets") == ["2 48"])
            #expect(try await world.column("SELECT count(*) FROM messages") == ["48"])
            #expect(
                try await world.column("SELECT string_agg(number::text, ',' ORDER BY number) FROM tickets") == ["1,2"]
            )
        }
    }

    @Test func idsThatOneMessageNamesAreOnePerson() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)

            try await world.receive(
                web,
                .init(text: "by phone"),
                .init(text: "by handle", phone: nil, handle: "Kim"),
                .init(text: "by both", handle: "kim", name: "Kim Doe")
            )
            try await world.receive(web, .init(text: "by handle again", phone: nil, handle: "KIM"))

            #expect(
                try await world.column("SELECT name || ' ' || phone || ' ' || handle FROM contacts") == [
                    "Kim Doe +4915550001 Kim"
                ]
            )
            #expect(try await world.column("SELECT unread_count FROM tickets") == ["4"])
        }
    }

    @Test func theNewestStopOrStartHoldsWhateverTheOrder() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let now = Int64(Date().timeIntervalSince1970 * 1_000_000)

            try await world.receive(web, .init(text: " stop\n"), acceptedAt: now)
            let stopped = try await world.column("SELECT opted_out FROM contacts")
            try await world.receive(web, .init(text: "Start"), acceptedAt: now - 1000)
            let late = try await world.column("SELECT opted_out FROM contacts")
            try await world.receive(web, .init(text: "START"), acceptedAt: now + 1000)

            #expect(stopped == ["t"])
            #expect(late == ["t"])
            #expect(try await world.column("SELECT opted_out FROM contacts") == ["f"])
        }
    }

    @Test func roundRobinGivesTicketsInTurnUnderConcurrency() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            for number in 0..<3 {
                _ = try await world.owner.query(
                    """
                    INSERT INTO users (org_id, email, name, role, password_hash)
                    VALUES (\(jane.organisation), \("agent\(number)@\(UUID().uuidString).example"), \("Agent \(number)"), 'agent', '-')
                    """
                )
            }
            _ = try await world.call(
                "update-organisation",
                as: jane,
                path: ["orgId": "\(jane.organisation)"],
                body: ["settings": ["assignment": "round_robin"]]
            )

            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 10..<40 {
                    group.addTask { try await world.receive(web, .init(text: "x", phone: "+49155500\(number)")) }
                }
                try await group.waitForAll()
            }

            #expect(
                try await world.column("SELECT count(*) FROM tickets GROUP BY assignee_id") == ["10", "10", "10"]
            )
        }
    }

    @Test func aPoisonMessageHarmsNoNeighbour() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let bob = try await world.admin("Other")
            let web = try await world.mock(jane)
            let other = try await world.mock(bob)
            // Refused by the database alone: the column takes no text of this length as a key.
            _ = try await world.owner.query("ALTER TABLE messages ADD CONSTRAINT poison CHECK (text <> 'poison')")

            let outcomes = try await world.work(
                "receive-message",
                [
                    World.Inbound(text: "good").data(web),
                    World.Inbound(text: "poison").data(web),
                    World.Inbound(text: "good", phone: "+4915550002").data(web),
                    World.Inbound(text: "good").data(other),
                    World.Inbound(text: "good").data(UUID().uuidString.lowercased()),
                    ["channelId": .string(web), "sender": ["name": "Nobody"]],
                ]
            )

            #expect(outcomes[0] == .done())
            guard case .failed = outcomes[1] else { Issue.record("\(outcomes[1])"); return }
            #expect(outcomes[2] == .done())
            #expect(outcomes[3] == .done())
            guard case .discard = outcomes[4] else { Issue.record("\(outcomes[4])"); return }
            #expect(outcomes[5] == .discard("data/sender needs a phone, a handle or an externalId"))
            #expect(try await world.column("SELECT count(*) FROM messages") == ["3"])
        }
    }

    @Test func keepsWhatFailedForGood() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let jobs = [
                World.Inbound(text: "bad").data(web), World.Inbound(text: "nobody's").data(UUID().uuidString),
                "unreadable",
            ].map { FailedJob(job: Job(queue: "inbound", name: "receive-message", data: $0.text), reason: "it is bad") }
            guard let function = Registry.functions.first(where: { $0.name == "receive-message" }),
                case .queue(let worker) = function.hosted
            else { Issue.record("there is no worker"); return }

            for _ in 0..<2 { try await worker.keep(jobs, world.workContext("receive-message")) }

            #expect(
                try await world.column(
                    "SELECT concat_ws('|', queue, job_id, job_name, data::jsonb ->> 'text', reason) FROM unprocessed_events"
                ) == ["inbound|1|receive-message|bad|it is bad"]
            )
        }
    }

    @Test func countsTheWindowFromTheProvidersTime() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let phone = try await world.call("create-channel", as: jane, body: .whatsApp).text("id")
            let written = Date(timeIntervalSince1970: 1_795_000_000)

            try await world.receive(phone, .init(text: "one", providerAt: written))
            try await world.receive(phone, .init(text: "older", providerAt: written.addingTimeInterval(-60)))

            let ticket = try await world.call("list-tickets", as: jane)
            #expect(ticket["data.0.window.until"] == .string(written.addingTimeInterval(86_400).rfc3339))
            #expect(ticket["data.0.window.humanAgentUntil"] == .null)
        }
    }
}
