import Foundation
import Postgres
import Security
import Testing

@testable import Schema

/// 10,000 tickets of one organisation and as many of another, made once: 1 in 100 not closed, 1 in 50 unassigned.
private struct Crowd {
    let world: World
    let assignee: UUID
    let channel: UUID

    static var shared: Crowd {
        get async throws { try await task.value }
    }

    private static let task = Task {
        let (world, neighbour) = try await (World(), World())
        let crowd = Crowd(world: world, assignee: .v7(), channel: .v7())
        try await crowd.fill()
        try await Crowd(world: neighbour, assignee: .v7(), channel: .v7()).fill()
        _ = try await world.database.owner.query("ANALYZE tickets, ticket_tags, messages")
        return crowd
    }

    private func fill() async throws {
        try await world.database.application.transaction(
            opening: ["SELECT enter_organisation(\(world.org))"],
            timeout: .seconds(120)
        ) { connection in
            _ = try await connection.run(statements)
        }
    }

    private var statements: [SQL] {
        [
            """
            INSERT INTO users (org_id, id, email, name, role, password_hash)
            VALUES (\(world.org), \(assignee), \("agent.\(assignee)@example.com"), 'Agent', 'agent', 'hash')
            """,
            "INSERT INTO channels (org_id, id, type, name) VALUES (\(world.org), \(channel), 'mock', 'Second')",
            """
            INSERT INTO contacts (org_id, name)
            SELECT \(world.org), 'Contact ' || n FROM generate_series(1, 1000) AS n
            """,
            """
            INSERT INTO conversations (org_id, channel_id, contact_id)
            SELECT \(world.org), CASE WHEN row_number() OVER (ORDER BY id) % 20 = 0 THEN \(channel)::uuid ELSE \(world.channel)::uuid END, id
              FROM contacts WHERE id <> \(world.contact)
            """,
            """
            INSERT INTO tickets
                (org_id, number, channel_id, contact_id, subject, status, priority, assignee_id, last_message_at, created_at, closed_at)
            SELECT \(world.org), 100 + n, c.channel_id, c.contact_id, 'Order number' || n,
                   CASE WHEN n <= 9900 THEN 'closed' WHEN n % 3 = 0 THEN 'pending' ELSE 'open' END,
                   n * 7919 % 16 / 4,
                   CASE WHEN n % 50 = 0 THEN NULL WHEN n % 20 = 1 THEN \(assignee)::uuid ELSE \(world.user)::uuid END,
                   at, at, CASE WHEN n <= 9900 THEN at END
              FROM (SELECT n, now() - make_interval(mins => 10001 - n) AS at FROM generate_series(1, 10000) AS n) AS made
              JOIN (
                    SELECT channel_id, contact_id, row_number() OVER (ORDER BY contact_id) AS place
                      FROM conversations WHERE contact_id <> \(world.contact)
                   ) AS c ON c.place = 1 + n % 1000
            """,
            """
            INSERT INTO ticket_tags (org_id, ticket_id, tag)
            SELECT org_id, id, CASE WHEN number % 1000 = 0 THEN 'rare' ELSE 'common' END FROM tickets WHERE number % 10 = 0
            """,
            """
            INSERT INTO messages (org_id, channel_id, contact_id, ticket_id, direction, author_type, status, text)
            SELECT org_id, channel_id, contact_id, id, 'inbound', 'contact', 'received', 'hello word' || number % 250
              FROM tickets
            """,
        ]
    }
}

enum Filter: CaseIterable {
    case none, status, priority, channel, assignee, unassigned, contact, commonTag, rareTag, created
}

enum Sort: String, CaseIterable {
    case newestMessage = "-lastMessageAt"
    case oldestMessage = "lastMessageAt"
    case newest = "-createdAt"
    case oldest = "createdAt"
    case mostUrgent = "-priority"

    var order: SQL {
        switch self {
        case .newestMessage: "last_message_at DESC, id DESC"
        case .oldestMessage: "last_message_at, id"
        case .newest: "created_at DESC, id DESC"
        case .oldest: "created_at, id"
        case .mostUrgent: "priority DESC, last_message_at DESC, id DESC"
        }
    }
}

@Suite struct TicketListTests {
    /// The list as the application runs it; its plan must read an index led by the organisation and not all its
    /// tickets.
    @Test(arguments: Filter.allCases, Sort.allCases)
    func readsAnIndex(_ filter: Filter, _ sort: Sort) async throws {
        let crowd = try await Crowd.shared
        let org = crowd.world.org
        let condition: SQL =
            switch filter {
            case .none: ""
            case .status: "AND status = 'open'"
            case .priority: "AND priority = 3"
            case .channel: "AND channel_id = \(crowd.channel)"
            case .assignee: "AND assignee_id = \(crowd.assignee)"
            case .unassigned: "AND assignee_id IS NULL"
            case .contact: "AND contact_id = \(crowd.world.contact)"
            case .commonTag:
                "AND EXISTS (SELECT FROM ticket_tags g WHERE g.org_id = \(org) AND g.ticket_id = t.id AND g.tag = 'common')"
            case .rareTag:
                "AND EXISTS (SELECT FROM ticket_tags g WHERE g.org_id = \(org) AND g.ticket_id = t.id AND g.tag = 'rare')"
            case .created: "AND created_at >= now() - interval '3 days' AND created_at < now() - interval '2 days'"
            }

        let rows = try await crowd.world.query(
            """
            EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
            SELECT id, subject FROM tickets t WHERE org_id = \(org) \(raw: condition) ORDER BY \(raw: sort.order) LIMIT 26
            """
        )

        let plan = try rows.map { try $0.get("QUERY PLAN", as: String.self) }
        let passed = plan.compactMap { line in
            line.firstMatch(of: /Rows Removed by Filter: (\d+)/).flatMap { Int($0.1) }
        }
        #expect(!plan.contains { $0.contains("Seq Scan") }, "\(plan.joined(separator: "\n"))")
        #expect(plan.contains { $0.contains("org_id = ") }, "\(plan.joined(separator: "\n"))")
        #expect(passed.reduce(0, +) < 1_500, "\(plan.joined(separator: "\n"))")
    }

    @Test func listsAPageOfMessagesByTheirIndex() async throws {
        let crowd = try await Crowd.shared

        let rows = try await crowd.world.query(
            """
            EXPLAIN (COSTS OFF)
            SELECT id, text FROM messages
             WHERE org_id = \(crowd.world.org) AND ticket_id = \(crowd.world.ticket) AND (accepted_at, id) > (1, \(UUID()))
             ORDER BY accepted_at, id LIMIT 26
            """
        )

        let plan = try rows.map { try $0.get("QUERY PLAN", as: String.self) }.joined(separator: "\n")
        #expect(plan.contains("messages_by_ticket"), "\(plan)")
        #expect(!plan.contains("Sort"), "\(plan)")
    }
}

@Suite struct TicketSearchTests {
    private func search(_ arguments: SQL, in world: World) async throws -> [UUID] {
        try await world.query("SELECT ticket_id FROM search_tickets(\(raw: arguments)) ORDER BY place").map {
            try $0.get("ticket_id", as: UUID.self)
        }
    }

    @Test(arguments: [
        "KETTLE", "broken kettle", "carl", "+4915112345678", "4915112345678", "smoking", "kettle or unheard",
        "\"it is\"",
    ])
    func findsSubjectContactAndText(_ query: String) async throws {
        let (world, other) = try await (World(), World())
        for world in [world, other] {
            try await world.query(
                """
                INSERT INTO messages (org_id, channel_id, contact_id, ticket_id, direction, author_type, status, text)
                VALUES (\(world.org), \(world.channel), \(world.contact), \(world.ticket), 'inbound', 'contact', 'received',
                        'Help, it is SMOKING!')
                """
            )
        }

        #expect(try await search("\(query)", in: world) == [world.ticket])
        #expect(try await search("\(query)", in: other) == [other.ticket])
    }

    @Test(arguments: ["teapot", "kettle teapot", "\"kettle broken\"", "kettle -broken", "", "!! ( \" -", "it smoking"])
    func findsNothing(_ query: String) async throws {
        let world = try await World()

        #expect(try await search("\(query)", in: world) == [])
    }

    @Test func findsNothingWithoutAnOrganisation() async throws {
        let world = try await World()

        #expect(try await world.database.application.query("SELECT FROM search_tickets('kettle')").isEmpty)
    }

    @Test func refusesAnUnknownSort() async throws {
        let world = try await World()

        #expect(try await sqlState { _ = try await search("'kettle', sort => 'subject'", in: world) } == "22023")
    }

    @Test func filters() async throws {
        let world = try await World()
        try await world.query(
            "INSERT INTO ticket_tags (org_id, ticket_id, tag) VALUES (\(world.org), \(world.ticket), 'vip')"
        )
        let matching: [SQL] = [
            "statuses => '{open,pending}'", "priorities => '{1}'", "channels => ARRAY[\(world.channel)]::uuid[]",
            "tags => '{bug,vip}'",
            "unassigned => true", "contact => \(world.contact)", "created_from => now() - interval '1 hour'",
            "created_to => now() + interval '1 hour'",
        ]
        let others: [SQL] = [
            "statuses => '{closed}'", "priorities => '{0,2,3}'", "channels => ARRAY[\(UUID())]::uuid[]",
            "tags => '{bug}'",
            "assignee => \(world.user)", "contact => \(UUID())", "created_from => now() + interval '1 hour'",
            "created_to => now() - interval '1 hour'",
        ]

        for condition in matching {
            #expect(try await search("'kettle', \(raw: condition)", in: world) == [world.ticket], "\(condition.text)")
        }
        for condition in others {
            #expect(try await search("'kettle', \(raw: condition)", in: world) == [], "\(condition.text)")
        }
    }

    @Test(arguments: Sort.allCases)
    func givesTheListsOrderPageByPage(_ sort: Sort) async throws {
        let world = try await Crowd.shared.world
        let expected = try await world.query(
            """
            SELECT t.id FROM tickets t
             WHERE t.org_id = \(world.org)
               AND EXISTS (SELECT FROM messages m WHERE m.org_id = t.org_id AND m.ticket_id = t.id AND m.text = 'hello word42')
             ORDER BY \(raw: sort.order)
            """
        ).map { try $0.get("id", as: UUID.self) }

        var found: [UUID] = []
        while true {
            let after = try await found.last.asyncMap { last in
                try await world.query(
                    """
                    SELECT priority::text, (CASE WHEN \(sort.rawValue) LIKE '%createdAt' THEN created_at ELSE last_message_at END)::text AS at
                      FROM tickets WHERE org_id = \(world.org) AND id = \(last)
                    """
                )
            }
            let page = try await search(
                """
                'word42', sort => \(sort.rawValue), max => 7, after_id => \(found.last),
                after_priority => \(after?.first?.get("priority", as: String.self))::smallint,
                after_at => \(after?.first?.get("at", as: String.self))::timestamptz
                """,
                in: world
            )
            if page.isEmpty { break }
            found += page
        }

        #expect(expected.count == 40)
        #expect(found == expected)
    }

    @Test func findsContacts() async throws {
        let (world, other) = try await (World(), World())

        let found = try await world.query("SELECT contact_id FROM search_contacts('Cust', NULL, NULL, NULL, 10)")
            .map { try $0.get("contact_id", as: UUID.self) }

        #expect(found == [world.contact])
        #expect(try await other.query("SELECT FROM search_contacts('nobody', NULL, NULL, NULL, 10)").isEmpty)
    }
}

extension Optional where Wrapped: Sendable {
    fileprivate func asyncMap<T>(_ transform: (Wrapped) async throws -> T) async rethrows -> T? {
        guard let self else { return nil }
        return try await transform(self)
    }
}
