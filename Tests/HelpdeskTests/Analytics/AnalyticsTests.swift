import Foundation
import Functions
import Postgres
import Testing

@Suite struct AnalyticsTests {
    @Test func tellsWhatHappenedToTickets() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let web = try await world.mock(jane)
            let one = try await world.ticket(jane, on: web, [.init("priority", "high")])
            _ = try await world.ticket(jane, on: web)
            _ = try await world.call(
                "assign-ticket",
                as: jane,
                path: ["ticketId": one],
                body: ["userId": .string(joe.user.uuidString)]
            )
            _ = try await world.send("Hello", one, as: joe)
            _ = try await world.call("update-ticket", as: joe, path: ["ticketId": one], body: ["priority": "urgent"])
            _ = try await world.call("close-ticket", as: joe, path: ["ticketId": one])

            let tickets = try await world.analytics("ticket", as: jane)
            let channels = try await world.analytics("channel", as: jane)
            let agents = try await world.analytics("agent", as: jane)

            #expect(tickets["totals"] == ["created": 2, "closed": 1, "reopened": 0, "open": 1, "pending": 0])
            #expect(tickets["byPriority"] == ["low": 0, "normal": 1, "high": 0, "urgent": 1])
            #expect(tickets["byChannel"] == [["channelId": .string(web), "name": "Web", "count": 2]])
            #expect(tickets["firstResponseSeconds.avg"] != .null && tickets["resolutionSeconds.p90"] != .null)
            let series = tickets["series"]?.array ?? []
            #expect((30...32).contains(series.count))
            #expect(series.last?["created"] == 2 && series.last?["closed"] == 1)
            #expect(
                channels["data.0.tickets"] == 2 && channels["data.0.outbound"] == 1 && channels["data.0.failed"] == 0
            )
            let row = agents["data"]?.array?.first { $0["userId"] == .string(joe.user.uuidString.lowercased()) }
            #expect(row?["assigned"] == 1 && row?["closed"] == 1 && row?["open"] == 0 && row?["messages"] == 1)
            #expect(row?["resolutionSeconds"]?["avg"] != .null)
        }
    }

    @Test func aMacrosPriorityCountsLikeAnyOther() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let ticket = try await world.ticket(jane, on: try await world.mock(jane))
            let macro = try await world.call(
                "create-macro",
                as: jane,
                body: [
                    "name": "Urgent", "content": "We hurry.",
                    "actions": [["type": "set_priority", "value": "urgent"]],
                ]
            )
            _ = try await world.call(
                "send-message",
                as: jane,
                path: ["ticketId": ticket],
                body: ["macroId": .string(macro.text("id"))]
            )
            let hurried = try await world.analytics("ticket", as: jane)
            _ = try await world.call("update-ticket", as: jane, path: ["ticketId": ticket], body: ["priority": "low"])
            let calmed = try await world.analytics("ticket", as: jane)

            #expect(hurried["byPriority"] == ["low": 0, "normal": 0, "high": 0, "urgent": 1])
            #expect(calmed["byPriority"] == ["low": 1, "normal": 0, "high": 0, "urgent": 0])
        }
    }

    @Test func campaignsAreAFunnelAndNoMessagesOfAChannel() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.campaign(jane, on: web, recipients: 4)
            _ = try await world.campaign(jane, on: web)
            _ = try await world.act("start", id, as: jane)
            _ = try await world.sendBatch(id, of: jane)
            _ = try await world.owner.query(
                "UPDATE messages SET status = 'read' WHERE id = (SELECT id FROM messages ORDER BY id LIMIT 1)"
            )

            let campaigns = try await world.analytics("campaign", as: jane)
            let channels = try await world.analytics("channel", as: jane)

            #expect(
                campaigns["data"] == [
                    [
                        "campaignId": .string(id), "name": "Black Friday", "total": 4, "sent": 4, "delivered": 4,
                        "read": 1,
                        "failed": 0, "optedOut": 0, "deliveryRate": .number("1.0000"), "readRate": nil, "replies": 0,
                    ]
                ]
            )
            #expect(channels["data.0.outbound"] == 0)
        }
    }

    @Test(arguments: [
        ([("from", "2026-01-02"), ("to", "2026-01-02")], "from must be before `to`"),
        ([("from", "2025-01-01"), ("to", "2026-02-01")], "from must be at most 366 days before `to`"),
        (
            [("from", "2026-01-01"), ("to", "2026-02-03"), ("interval", "hour")],
            "from must be at most 31 days before `to`"
        ),
    ])
    func refusesAnEmptyRangeAndOneThatIsTooLong(query: [(String, String)], fault: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await world.call(
                "get-ticket-analytics",
                as: jane,
                query: query.map { (name: $0.0, value: $0.1) }
            )

            #expect(reply.status == 422 && reply.faults == [fault])
        }
    }

    /// Zones with odd offsets, and the days on which clocks change.
    @Test func equalsARecountOfTheRowsAfterARandomHistoryOfFiftyThousandEvents() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.randomHistory(jane.organisation, channel: web, user: jane.user, tickets: 16_000)
            let events = try await world.column("SELECT count(*) FROM events")
            #expect((Int(events.first?.flatMap { $0 } ?? "") ?? 0) >= 50_000)

            for zone in ["Asia/Kathmandu", "America/St_Johns", "Europe/Berlin"] {
                try await expectARecount(in: zone, world, jane)
            }
        }
    }

    private func expectARecount(in zone: String, _ world: World, _ jane: Caller) async throws {
        _ = try await world.call("update-organisation", as: jane, body: ["timezone": .string(zone)])
        let org = jane.organisation
        let query = [("from", "2026-03-01"), ("to", "2026-11-30"), ("interval", "day")]
        let reply = try await world.analytics("ticket", as: jane, query)
        try await world.runSchedule("roll-up-analytics")
        let again = try await world.analytics("ticket", as: jane, query)

        let counted = try await world.owner.query(
            """
            SELECT count(*) FILTER (WHERE created_at >= a.from AND created_at < a.to) AS created,
                   count(*) FILTER (WHERE closed_at >= a.from AND closed_at < a.to) AS closed,
                   count(*) FILTER (WHERE created_at >= a.from AND created_at < a.to AND priority = 3) AS urgent,
                   avg(extract(epoch FROM first_response_at - created_at))
                       FILTER (WHERE first_response_at >= a.from AND first_response_at < a.to) AS avg,
                   percentile_disc(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM first_response_at - created_at))
                       FILTER (WHERE first_response_at >= a.from AND first_response_at < a.to) AS p90
              FROM tickets,
                   (SELECT '2026-03-01'::timestamp AT TIME ZONE \(zone) AS from,
                           '2026-11-30'::timestamp AT TIME ZONE \(zone) AS to) a
             WHERE org_id = \(org)
            """
        )[0]
        #expect(reply["totals.created"]?.integer == (try counted.get("created")))
        #expect(reply["totals.closed"]?.integer == (try counted.get("closed")))
        #expect(reply["byPriority.urgent"]?.integer == (try counted.get("urgent")))
        let (avg, p90): (Double, Double) = (try counted.get("avg"), try counted.get("p90"))
        #expect(abs(reply.number("firstResponseSeconds.avg") - avg) < 0.01)
        #expect(abs(reply.number("firstResponseSeconds.p90") / p90 - 1) < 0.02)
        let days = try await world.owner.query(
            """
            SELECT to_char(date_trunc('day', created_at, \(zone)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS".000Z"') AS at,
                   count(*) AS created
              FROM tickets
             WHERE org_id = \(org) AND created_at >= '2026-03-01'::timestamp AT TIME ZONE \(zone)
               AND created_at < '2026-11-30'::timestamp AT TIME ZONE \(zone)
             GROUP BY 1 ORDER BY 1
            """
        )
        let expected = try days.map {
            "\(try $0.get("at", as: String.self)) \(try $0.get("created", as: Int.self))"
        }
        let series = reply["series"]?.array ?? []
        let told = series.filter { $0["created"] != 0 }.map {
            "\($0["at"]?.string ?? "") \($0["created"]?.integer ?? 0)"
        }
        #expect(told == expected)
        #expect(series.count == 274)
        #expect(again["totals"] == reply["totals"] && again["series"] == reply["series"])
    }
}

extension World {
    /// What an analytics endpoint answers once everything that has happened is counted: another transaction of the cluster that
    /// is still open holds the reading of events back.
    func analytics(_ of: String, as caller: Caller, _ query: [(String, String)] = []) async throws -> Reply {
        for _ in 0..<400 {
            let reply = try await call(
                "get-\(of)-analytics",
                as: caller,
                query: query.map { (name: $0.0, value: $0.1) }
            )
            let behind = try await column(
                """
                SELECT count(*) FROM events e LEFT JOIN analytics_positions p ON p.org_id = e.org_id
                 WHERE e.org_id = \(caller.organisation) AND (p.xid IS NULL OR (e.xid, e.id) > (p.xid, p.last_event))
                """
            )
            if behind == ["0"] { return reply.status == 200 ? try await recall(of, caller, query) : reply }
            try await Task.sleep(for: .milliseconds(50))
        }
        struct NeverCounted: Error {}
        throw NeverCounted()
    }

    private func recall(_ of: String, _ caller: Caller, _ query: [(String, String)]) async throws -> Reply {
        try await call("get-\(of)-analytics", as: caller, query: query.map { (name: $0.0, value: $0.1) })
    }

    /// Tickets of 2026 with first responses and closings, and their events, as the functions write them.
    func randomHistory(_ org: Tenant.ID, channel: String, user: UUID, tickets: Int) async throws {
        _ = try await owner.run([
            "INSERT INTO contacts (org_id, id) VALUES (\(org), \(user))",
            "INSERT INTO conversations (org_id, channel_id, contact_id) VALUES (\(org), \(channel)::uuid, \(user))",
            """
            INSERT INTO tickets (org_id, number, channel_id, contact_id, priority, created_at, first_response_at, status, closed_at)
            SELECT \(org)::uuid, n, \(channel)::uuid, \(user)::uuid, p, at, at + wait,
                   CASE WHEN n % 3 = 0 THEN 'closed' ELSE 'open' END, CASE WHEN n % 3 = 0 THEN at + wait * 3 END
              FROM (
                    SELECT n, (random() * 3)::integer::smallint AS p,
                           timestamptz '2026-01-01Z' + random() * interval '330 days' AS at,
                           interval '1 second' * exp(random() * 12) AS wait
                      FROM generate_series(1, \(tickets)::integer) AS n
                   ) x
            """,
            """
            INSERT INTO messages (org_id, channel_id, contact_id, ticket_id, direction, author_type, author_id, status, created_at)
            SELECT org_id, channel_id, contact_id, id, 'outbound', 'user', \(user)::uuid, 'sent', first_response_at
              FROM tickets WHERE org_id = \(org)
            """,
            """
            INSERT INTO events (org_id, type, entity_id, payload, at)
            SELECT org_id, 'ticket.created', id, '{"priority": "low"}', created_at FROM tickets WHERE org_id = \(org)
            """,
            """
            INSERT INTO events (org_id, type, entity_id, payload, at)
            SELECT org_id, 'ticket.updated', id,
                   jsonb_build_object(
                       'priority',
                       jsonb_build_object('from', 'low', 'to', (ARRAY['low', 'normal', 'high', 'urgent'])[priority + 1])
                   ), created_at
              FROM tickets WHERE org_id = \(org) AND priority > 0
            """,
            """
            INSERT INTO events (org_id, type, entity_id, payload, at)
            SELECT org_id, 'ticket.updated', id,
                   '{"status": {"from": "open", "to": "closed"}, "assigneeId": null}', closed_at
              FROM tickets WHERE org_id = \(org) AND status = 'closed'
            """,
            """
            INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
            SELECT org_id, 'message.created', id, ticket_id, '{}' FROM messages WHERE org_id = \(org)
            """,
        ])
    }
}

extension World.Reply {
    func number(_ path: String) -> Double {
        if case .number(let text)? = self[path] { Double(text) ?? .nan } else { .nan }
    }
}
