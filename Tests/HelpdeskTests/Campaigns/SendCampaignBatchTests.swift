import Foundation
import Functions
import Postgres
import Testing

@Suite struct SendCampaignBatchTests {
    @Test func eachRecipientGetsTheirOwnMessageOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.campaign(jane, on: web, text: "Hi {{name|you}} in {{variables.city|town}}")
            _ = try await world.add(
                [
                    ["phone": "+491500001", "name": "Kim", "variables": ["city": "Köln"]], ["phone": "+491500002"],
                    ["handle": "jo", "name": "Jo"],
                ],
                to: id,
                as: jane
            )
            _ = try await world.act("start", id, as: jane)

            let outcome = try await world.sendBatch(id, of: jane)
            let again = try await world.sendBatch(id, of: jane)

            #expect(outcome == .done() && again == .done())
            #expect(
                try await world.column("SELECT text FROM messages ORDER BY text")
                    == ["Hi Jo in town", "Hi Kim in Köln", "Hi you in town"]
            )
            let campaign = try await world.call("get-campaign", as: jane, path: ["id": id])
            #expect(campaign["status"] == "completed" && campaign["completedAt"] != .null)
            let recipients = try await world.recipients(id, as: jane, status: "delivered")
            #expect(recipients.count == 3)
            #expect(recipients.allSatisfy { $0["messageId"] == $0["id"] && $0["sentAt"] != .null })
            let stats = try await world.stats(id, as: jane)
            #expect(stats["delivered"] == 3 && stats["etaSeconds"] == 0 && stats["failuresByCode"] == [:])
            // No ticket is opened, and no message is told of.
            #expect(try await world.column("SELECT count(*) FROM tickets") == ["0"])
            #expect(try await world.events(jane.organisation).allSatisfy { $0 == "campaign.updated" })
        }
    }

    @Test func whoLacksAVariableFailsAlone() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), text: "In {{variables.city}}")
            _ = try await world.add(
                [
                    ["phone": "+491500001", "variables": ["city": ""]],
                    ["phone": "+491500002", "variables": ["city": "Rom"]],
                ],
                to: id,
                as: jane
            )
            _ = try await world.act("start", id, as: jane)

            _ = try await world.sendBatch(id, of: jane)

            let failed = try await world.recipients(id, as: jane, status: "failed")
            #expect(failed.map { $0["error"]?["code"] } == ["missing_variable"])
            #expect(failed.first?["messageId"] == .null)
            #expect(try await world.counts(id, as: jane) == ["delivered": 1, "failed": 1])
            #expect(try await world.stats(id, as: jane)["failuresByCode"] == ["missing_variable": 1])
        }
    }

    @Test func manyJobsAtOnceSendToEachOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 1200)
            _ = try await world.act("start", id, as: jane)

            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { _ = try await world.sendBatch(id, of: jane) } }
                try await group.waitForAll()
            }

            #expect(try await world.counts(id, as: jane) == ["delivered": 1200])
            #expect(try await world.column("SELECT count(*) FROM messages") == ["1200"])
            #expect(try await world.column("SELECT DISTINCT attempts FROM campaign_recipients") == ["1"])
            #expect(try await world.column("SELECT count(*) FROM campaign_batches") == ["0"])
            #expect(try await world.column("SELECT status FROM campaigns") == ["completed"])
        }
    }

    @Test func whoOptsOutMeanwhileGetsNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.campaign(jane, on: web, recipients: 2)
            try await world.receive(web, .init(text: "unsubscribe", phone: "+49150000001"))
            _ = try await world.act("start", id, as: jane)

            _ = try await world.sendBatch(id, of: jane)

            #expect(try await world.counts(id, as: jane) == ["delivered": 1, "optedOut": 1])
        }
    }

    @Test func theCapHoldsAcrossCampaigns() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let cap: JSON = ["settings": ["campaignCap": ["messages": 1, "days": 7]]]
            _ = try await world.call("update-organisation", as: jane, body: cap)

            var counts: [[String: Int]] = []
            for count in [1, 2] {
                let id = try await world.campaign(jane, on: web, recipients: count)
                _ = try await world.act("start", id, as: jane)
                _ = try await world.sendBatch(id, of: jane)
                counts.append(try await world.counts(id, as: jane))
            }

            #expect(counts == [["delivered": 1], ["delivered": 1, "failed": 1]])
            #expect(
                try await world.column("SELECT error_code FROM campaign_recipients WHERE status = 'failed'")
                    == ["frequency_capped"]
            )
        }
    }

    @Test func quietHoursKeepEverybodyPending() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 2)
            func clock(_ hours: Double) -> JSON {
                .string(String(Date().addingTimeInterval(hours * 3600).rfc3339.dropFirst(11).prefix(5)))
            }
            let quiet: JSON = ["settings": ["quietHours": ["from": clock(-1), "to": clock(3)]]]
            _ = try await world.call("update-organisation", as: jane, body: quiet)
            _ = try await world.act("start", id, as: jane)

            let outcome = try await world.sendBatch(id, of: jane)
            let during = try await world.counts(id, as: jane)
            _ = try await world.call("update-organisation", as: jane, body: ["settings": ["quietHours": nil]])
            try await world.runSchedule("sweep-work")
            _ = try await world.sendBatch(id, of: jane)

            #expect(outcome == .done())
            #expect(during == ["pending": 2])
            #expect(try await world.queued("campaigns").count >= 1)
            #expect(try await world.counts(id, as: jane) == ["delivered": 2])
        }
    }

    @Test func aPausedCampaignSendsNothingAndGoesOn() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 5)
            _ = try await world.act("start", id, as: jane)
            _ = try await world.act("pause", id, as: jane)

            #expect(try await world.sendBatch(id, of: jane) == .done())
            #expect(try await world.counts(id, as: jane) == ["pending": 5])
            _ = try await world.act("resume", id, as: jane)
            #expect(try await world.sendBatch(id, of: jane) == .done())
            #expect(try await world.counts(id, as: jane) == ["delivered": 5])
        }
    }

    @Test func pausingStopsAJobThatIsAtIt() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 400, perSecond: 100)
            _ = try await world.act("start", id, as: jane)

            async let job = world.sendBatch(id, of: jane)
            while try await world.counts(id, as: jane)["delivered"] == nil {
                try await Task.sleep(for: .milliseconds(10))
            }
            _ = try await world.act("pause", id, as: jane)
            #expect(try await job == .done())

            let left = try await world.counts(id, as: jane)["pending"] ?? 0
            #expect(left > 0)
            #expect(try await world.column("SELECT count(*) FROM messages") == ["\(400 - left)"])
        }
    }

    @Test func theRestOfMoreThanAJobEndsIsCancelled() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 5100)
            _ = try await world.act("start", id, as: jane)

            #expect(try await world.act("cancel", id, as: jane).status == 202)
            let first = try await world.counts(id, as: jane)
            while try await world.sendBatch(id, of: jane) != .done() {}

            #expect(first == ["pending": 100, "cancelled": 5000])
            #expect(try await world.counts(id, as: jane) == ["cancelled": 5100])
        }
    }

    @Test func whatIsLeftOnAChannelThatGoesFails() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.campaign(jane, on: web, recipients: 3)
            _ = try await world.act("start", id, as: jane)
            _ = try await world.call("delete-channel", as: jane, path: ["channelId": web])

            #expect(try await world.sendBatch(id, of: jane) == .done())

            #expect(try await world.counts(id, as: jane) == ["failed": 3])
            #expect(try await world.stats(id, as: jane)["failuresByCode"] == ["channel_gone": 3])
            #expect(try await world.call("get-campaign", as: jane, path: ["id": id])["status"] == "completed")
        }
    }

    @Test func triesAgainAndGivesUpOnOneRecipientAlone() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane, settings: ["outcome": ["retry": 2]])
            let id = try await world.campaign(jane, on: web, recipients: 3)
            _ = try await world.act("start", id, as: jane)

            var rounds = 0
            while try await world.sendBatch(id, of: jane) != .done() || rounds < 2, rounds < 20 {
                rounds += 1
                _ = try await world.owner.query(
                    "UPDATE campaign_recipients SET next_attempt_at = now() WHERE status = 'pending'"
                )
                _ = try await world.owner.query("UPDATE campaign_batches SET due_at = now() WHERE token IS NULL")
            }

            #expect(try await world.counts(id, as: jane) == ["delivered": 3])
            #expect(try await world.column("SELECT DISTINCT attempts FROM campaign_recipients") == ["3"])
        }
    }

    @Test func aChannelOutOfOrderHoldsTheCampaign() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane, settings: ["outcome": "channel"])
            let id = try await world.campaign(jane, on: web, recipients: 3)
            _ = try await world.act("start", id, as: jane)

            _ = try await world.sendBatch(id, of: jane)
            let held = try await world.counts(id, as: jane)
            let channel = try await world.call("get-channel", as: jane, path: ["channelId": web])
            _ = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": web],
                body: ["status": "active", "settings": ["outcome": "ok"]]
            )
            _ = try await world.sendBatch(id, of: jane)

            #expect(held == ["pending": 3])
            #expect(channel["status"] == "error")
            #expect(try await world.counts(id, as: jane) == ["delivered": 3])
        }
    }

    /// As a worker leaves it that is killed between an attempt and its outcome.
    @Test func whatAKilledWorkerLeftIsDecidedByTheConnector() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 4)
            _ = try await world.act("start", id, as: jane)
            _ = try await world.owner.run([
                """
                INSERT INTO campaign_batches (org_id, campaign_id, first_position, last_position, token, due_at)
                VALUES (\(jane.organisation), \(id)::uuid, 1, 4, gen_random_uuid(), now() + interval '50 seconds')
                """,
                "UPDATE campaign_counters SET taken = 4",
                """
                UPDATE campaign_recipients SET attempts = 1, attempted_at = now(), first_attempted_at = now()
                 WHERE position <= 2
                """,
            ])

            let early = try await world.sendBatch(id, of: jane)
            _ = try await world.owner.query("UPDATE campaign_batches SET due_at = now()")
            let late = try await world.sendBatch(id, of: jane)

            guard case .snooze = early else { Issue.record("\(early)"); return }
            #expect(late == .done())
            // The mock takes a repetition as the same message.
            #expect(try await world.counts(id, as: jane) == ["delivered": 4])
            #expect(
                try await world.column("SELECT attempts FROM campaign_recipients ORDER BY position") == [
                    "2", "2", "1", "1",
                ]
            )
        }
    }

    /// Four workers were killed, twenty seconds ago or just now.
    @Test(arguments: [(40, ["pending": 2000, "delivered": 100], 1), (70, ["pending": 2100], 0)])
    func theDeadKeepNobodyFromGoingOn(secondsLeft: Int, counts: [String: Int], helpers: Int) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 2100)
            _ = try await world.act("start", id, as: jane)
            _ = try await world.owner.run([
                """
                INSERT INTO campaign_batches (org_id, campaign_id, first_position, last_position, token, due_at)
                SELECT \(jane.organisation), \(id)::uuid, n * 500 + 1, n * 500 + 500, gen_random_uuid(),
                       now() + make_interval(secs => \(secondsLeft)::integer)
                  FROM generate_series(0, 3) AS n
                """,
                "UPDATE campaign_counters SET taken = 2000",
            ])
            let before = try await world.queued("campaigns").count

            try await world.runSchedule("start-campaigns")
            let added = try await world.queued("campaigns").count - before
            _ = try await world.sendBatch(id, of: jane)

            #expect(added == helpers)
            #expect(try await world.counts(id, as: jane) == counts)
        }
    }

    @Test func anUnknownOutcomeIsNeverSentAgain() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 4)
            _ = try await world.act("start", id, as: jane)
            _ = try await world.owner.query(
                "UPDATE campaign_recipients SET attempts = 1, attempted_at = now() WHERE position < 3"
            )

            let lost = try await world.services.postgres.run([
                OrganisationScope.entry(jane.organisation),
                "SELECT recover_campaign_batch(\(jane.organisation)::uuid, \(id)::uuid, 1, 4, false) AS lost",
            ])
            _ = try await world.sendBatch(id, of: jane)

            #expect(try lost[1][0].get("lost", as: Int.self) == 2)
            #expect(try await world.counts(id, as: jane) == ["delivered": 2, "failed": 2])
            #expect(try await world.stats(id, as: jane)["failuresByCode"] == ["outcome_unknown": 2])
        }
    }

    @Test func statusesMoveForwardOnly() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 2)
            _ = try await world.act("start", id, as: jane)
            _ = try await world.sendBatch(id, of: jane)

            _ = try await world.owner.query("UPDATE messages SET status = 'read', read_at = now()")
            let read = try await world.counts(id, as: jane)
            _ = try await world.owner.query("UPDATE messages SET status = 'delivered'")

            #expect(read == ["read": 2])
            #expect(try await world.counts(id, as: jane) == ["read": 2])
        }
    }

    @Test func aReplyMovesTheMessageIntoItsTicketAndCountsOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.campaign(jane, on: web, recipients: 2)
            _ = try await world.act("start", id, as: jane)
            _ = try await world.sendBatch(id, of: jane)

            try await world.receive(web, .init(text: "Yes please", phone: "+49150000001"))
            try await world.receive(web, .init(text: "And two", phone: "+49150000001"))

            #expect(try await world.column("SELECT replies FROM campaign_counters") == ["1"])
            let ticket = try await world.column("SELECT id FROM tickets")
            #expect(ticket.count == 1)
            let messages = try await world.show(ticket.first.flatMap { $0 } ?? "", as: jane)["messages"]?.array ?? []
            #expect(messages.map { $0["author"]?["type"] } == ["campaign", "contact", "contact"])
            #expect(messages.first?["author"]?["id"] == .string(id))
            #expect(try await world.column("SELECT count(*) FROM messages WHERE ticket_id IS NULL") == ["1"])
        }
    }

    @Test func recipientsGoAlongWithTheIdsOfTheirContactAndEndWithIt() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 3)
            let contacts = try await world.column("SELECT contact_id FROM campaign_recipients ORDER BY position")

            _ = try await world.owner.query(
                "UPDATE contact_identities SET contact_id = \(contacts[1])::uuid WHERE contact_id = \(contacts[0])::uuid"
            )
            _ = try await world.owner.query("SELECT erase_contact(\(jane.organisation)::uuid, \(contacts[2])::uuid)")

            let recipients = try await world.recipients(id, as: jane)
            #expect(
                recipients.map { $0["contactId"] } == [contacts[1], contacts[1], contacts[2]].map { .string($0 ?? "") }
            )
            #expect(recipients[2]["phone"] == .null && recipients[2]["error"]?["code"] == "contact_erased")
            #expect(try await world.counts(id, as: jane) == ["pending": 2, "failed": 1])
        }
    }

    @Test func theResultsAreWrittenAsCSV() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane))
            _ = try await world.add(
                [["phone": "+491500001", "name": "Kim, \"K\""], ["handle": "jo"]],
                to: id,
                as: jane
            )

            let reply = try await world.call("export-campaign-results", as: jane, path: ["id": id])

            let lines = (reply.json.string ?? "").components(separatedBy: "\r\n")
            #expect(lines.count == 4 && lines[3].isEmpty)
            #expect(lines[0].hasPrefix("id,contactId,name,phone,handle,status,"))
            #expect(lines[1].contains(",\"Kim, \"\"K\"\"\",+491500001,,pending,"))
            #expect(lines[2].contains(",,,jo,pending,"))
        }
    }

    @Test func anotherOrganisationsIdInTheJobGrantsNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let bob = try await world.admin("Other")
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 1)
            _ = try await world.act("start", id, as: jane)

            #expect(try await world.sendBatch(id, of: bob) == .done())

            #expect(try await world.counts(id, as: jane) == ["pending": 1])
        }
    }
}
