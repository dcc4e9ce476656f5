import Foundation
import Functions
import Postgres
import Testing

@Suite struct DeliverMessageTests {
    @Test func sendsInTheOrderOfPosting() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane))
            for text in ["one", "two", "three"] { _ = try await world.send(text, id, as: jane) }

            let outcome = try await world.deliver(id, of: jane)

            #expect(outcome == .done())
            let messages = try await world.show(id, as: jane)["messages"]?.array ?? []
            #expect(messages.map { $0["text"] } == ["one", "two", "three"])
            #expect(messages.map { $0["status"] } == ["delivered", "delivered", "delivered"])
            #expect(messages.allSatisfy { $0["externalId"] == .string("mock-" + ($0["id"]?.string ?? "")) })
            let sent = messages.compactMap { $0["sentAt"]?.string }
            #expect(sent.count == 3 && sent == sent.sorted())
            #expect(try await world.column("SELECT count(*) FROM delivery_leases") == ["0"])
        }
    }

    @Test func aRetryHoldsThoseBehindAndThenAllLeave() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane, settings: ["outcome": ["retry": 2]]))
            for text in ["one", "two"] { _ = try await world.send(text, id, as: jane) }

            let first = try await world.deliver(id, of: jane)
            let held = try await world.column("SELECT status || attempts FROM messages ORDER BY accepted_at")
            var runs = 0
            while case .snooze = try await world.deliver(id, of: jane, startedBefore: 1), runs < 10 {
                runs += 1
                _ = try await world.owner.query("UPDATE messages SET next_attempt_at = now() - interval '1 second'")
            }

            guard case .snooze = first else { Issue.record("\(first)"); return }
            #expect(held == ["queued1", "queued0"])
            #expect(
                try await world.column("SELECT status || attempts FROM messages ORDER BY accepted_at")
                    == ["delivered3", "delivered3"]
            )
        }
    }

    @Test func givesUpAfterEightAttempts() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane, settings: ["outcome": ["retry": 100]]))
            _ = try await world.send("one", id, as: jane)

            var runs = 0
            while case .snooze = try await world.deliver(id, of: jane), runs < 20 {
                runs += 1
                _ = try await world.owner.query("UPDATE messages SET next_attempt_at = now() - interval '1 second'")
            }

            #expect(
                try await world.column("SELECT status || ' ' || error_code || ' ' || attempts FROM messages")
                    == ["failed mock_retry 8"]
            )
        }
    }

    @Test func aFinalFailureHoldsNobody() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane, settings: ["outcome": "recipient"])
            let id = try await world.ticket(jane, on: web)
            for text in ["one", "two"] { _ = try await world.send(text, id, as: jane) }

            #expect(try await world.deliver(id, of: jane) == .done())

            let messages = try await world.show(id, as: jane)["messages"]?.array ?? []
            #expect(messages.map { $0["status"] } == ["failed", "failed"])
            #expect(messages.map { $0["error"]?["code"] } == ["mock_recipient", "mock_recipient"])
        }
    }

    @Test func aChannelOutOfOrderKeepsItsMessagesUntilItWorksAgain() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane, settings: ["outcome": "channel"])
            let id = try await world.ticket(jane, on: web)
            for text in ["one", "two"] { _ = try await world.send(text, id, as: jane) }

            #expect(try await world.deliver(id, of: jane) == .done())
            let channel = try await world.call("get-channel", as: jane, path: ["channelId": web])
            let held = try await world.column("SELECT DISTINCT status FROM messages")
            _ = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": web],
                body: ["status": "active", "settings": ["outcome": "ok"]]
            )
            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(channel["status"] == "error")
            #expect(held == ["queued"])
            #expect(try await world.column("SELECT DISTINCT status FROM messages") == ["delivered"])
        }
    }

    @Test func failsWhatIsQueuedOnAChannelThatIsGone() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane))
            _ = try await world.send("one", id, as: jane)
            _ = try await world.owner.query("UPDATE channels SET deleted_at = now()")

            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(try await world.show(id, as: jane)["messages.0.error.code"] == "channel_gone")
        }
    }

    @Test func sendsAgainWhatWasNeverAnsweredWhereThatIsSafe() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane))
            _ = try await world.send("one", id, as: jane)
            _ = try await world.owner.query(
                "UPDATE messages SET attempts = 1, attempted_at = now(), first_attempted_at = now()"
            )

            #expect(try await world.deliver(id, of: jane) == .done())

            #expect(try await world.column("SELECT status || attempts FROM messages") == ["delivered2"])
        }
    }

    @Test func leavesATicketToWhoHoldsItsLease() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane))
            _ = try await world.send("one", id, as: jane)
            _ = try await world.owner.query(
                """
                INSERT INTO delivery_leases (org_id, ticket_id, token, expires_at)
                VALUES (\(jane.organisation), \(id)::uuid, gen_random_uuid(), now() + interval '20 seconds')
                """
            )

            let fresh = try await world.deliver(id, of: jane)
            let again = try await world.deliver(id, of: jane, startedBefore: 1)
            _ = try await world.owner.query("UPDATE delivery_leases SET expires_at = now() - interval '1 second'")
            let late = try await world.deliver(id, of: jane)

            #expect(fresh == .done())
            guard case .snooze(let pause) = again, pause > .seconds(15) else { Issue.record("\(again)"); return }
            #expect(late == .done())
            #expect(try await world.column("SELECT status FROM messages") == ["delivered"])
        }
    }

    @Test func anotherOrganisationsIdInTheJobGrantsNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let bob = try await world.admin("Other")
            let id = try await world.ticket(jane, on: try await world.mock(jane))
            _ = try await world.send("one", id, as: jane)

            #expect(try await world.deliver(id, of: bob) == .done())

            #expect(try await world.column("SELECT status FROM messages") == ["queued"])
        }
    }

    @Test func manyJobsAtOnceSendEachMessageOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.ticket(jane, on: try await world.mock(jane))

            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        _ = try await world.send("\(number)", id, as: jane)
                        _ = try await world.deliver(id, of: jane)
                    }
                }
                try await group.waitForAll()
            }

            #expect(try await world.column("SELECT DISTINCT status || attempts FROM messages") == ["delivered1"])
            #expect(
                try await world.column("SELECT count(*) FROM events WHERE type = 'message.updated'") == ["20"]
            )
        }
    }
}
