import Fleet
import Foundation
import Functions
import Postgres

/// An organisation with years of tickets, five messages in each, made by statements of the application's role.
///
/// One in a hundred isn't closed, and those are the newest; one in fifty has no assignee, one in twenty is the caller's; one in
/// ten has the tag `common` and one in ten thousand `rare`. Every message says `hello`, one in 250 the same number word, and
/// `parcel` with the ticket's number is in that ticket alone.
struct TicketCrowd {
    let organisation: BenchOrganisation
    let rows: Int

    private static let channels = 20
    private static let agents = 20
    private static let step = 50_000

    private var org: SQL { "\(organisation.id)::uuid" }

    /// The channel and the contact that filters name.
    func example(_ postgres: Postgres) async throws -> (channel: UUID, contact: UUID) {
        try await postgres.transaction(opening: ["SELECT enter_organisation(\(raw: org))"]) { connection in
            let row = try await connection.query(
                "SELECT channel_id, contact_id FROM tickets WHERE org_id = \(raw: org) AND number = 7"
            )[0]
            return (try row.get("channel_id"), try row.get("contact_id"))
        }
    }

    func fill(_ postgres: Postgres, progress: (String) -> Void) async throws {
        try await run(postgres, people)
        var first = 1
        while first <= rows {
            let last = min(rows, first + Self.step - 1)
            try await run(postgres, tickets(first, last))
            progress("\(last) of \(rows) tickets")
            first = last + 1
        }
    }

    private func run(_ postgres: Postgres, _ statements: [SQL]) async throws {
        _ = try await postgres.transaction(
            opening: ["SELECT enter_organisation(\(raw: org))", "SET LOCAL synchronous_commit = off"],
            timeout: .seconds(600)
        ) { connection in try await connection.run(statements) }
    }

    private var contacts: Int { max(10, rows / 3) }

    private func made(_ kind: SQL, _ number: SQL) -> SQL {
        "md5(\(organisation.id)::text || \(raw: kind) || \(raw: number))::uuid"
    }

    private var people: [SQL] {
        [
            """
            INSERT INTO users (org_id, id, email, name, role, password_hash)
            SELECT \(raw: org), \(raw: made("'agent'", "n")), 'agent' || n || '.' || \(organisation.id)::text || '@example.com', 'Agent ' || n, 'agent', 'none'
              FROM generate_series(0, \(Self.agents - 1)::integer) AS n
            """,
            """
            INSERT INTO channels (org_id, id, type, name)
            SELECT \(raw: org), \(raw: made("'channel'", "n")), 'mock', 'Line ' || n
              FROM generate_series(0, \(Self.channels - 1)::integer) AS n
            """,
            """
            INSERT INTO contacts (org_id, id, name, phone)
            SELECT \(raw: org), \(raw: made("'contact'", "n")), 'Customer ' || n, '+1' || (2000000000 + n)
              FROM generate_series(0, \(contacts - 1)::integer) AS n
            """,
            """
            INSERT INTO conversations (org_id, channel_id, contact_id)
            SELECT \(raw: org), \(raw: made("'channel'", "n % \(raw: SQL(stringLiteral: String(Self.channels)))")), \(raw: made("'contact'", "n"))
              FROM generate_series(0, \(contacts - 1)::integer) AS n
            """,
        ]
    }

    private func tickets(_ first: Int, _ last: Int) -> [SQL] {
        let contact: SQL = "n % \(raw: SQL(stringLiteral: String(contacts)))"
        let channel: SQL = "(\(raw: contact)) % \(raw: SQL(stringLiteral: String(Self.channels)))"
        return [
            """
            INSERT INTO tickets (org_id, id, number, channel_id, contact_id, subject, status, priority, assignee_id, created_at, last_message_at, closed_at)
            SELECT \(raw: org), \(raw: made("'ticket'", "n")), n, \(raw: made("'channel'", channel)), \(raw: made("'contact'", contact)),
                   'Where is parcel' || n || '?',
                   CASE WHEN n <= \(rows * 99 / 100)::integer THEN 'closed' WHEN n % 3 = 0 THEN 'pending' ELSE 'open' END,
                   n * 7919 % 16 / 4,
                   CASE WHEN n % 50 = 0 THEN NULL WHEN n % 20 = 1 THEN \(organisation.user)::uuid ELSE \(raw: made("'agent'", "n % 20")) END,
                   at, at + n % 600 * interval '1 minute',
                   CASE WHEN n <= \(rows * 99 / 100)::integer THEN at END
              FROM (
                    SELECT n, now() - make_interval(secs => (\(rows)::integer - n) * 60.0) AS at
                      FROM generate_series(\(first)::bigint, \(last)::bigint) AS n
                   ) AS made
            """,
            """
            INSERT INTO ticket_tags (org_id, ticket_id, tag)
            SELECT \(raw: org), \(raw: made("'ticket'", "n")), t.tag
              FROM generate_series(\(first)::bigint, \(last)::bigint) AS n
              JOIN (VALUES ('common', 10), ('rare', 10000)) AS t (tag, every) ON n % t.every = 0
            """,
            """
            INSERT INTO messages (org_id, channel_id, contact_id, ticket_id, direction, author_type, status, text, accepted_at, created_at)
            SELECT \(raw: org), \(raw: made("'channel'", channel)), \(raw: made("'contact'", contact)), \(raw: made("'ticket'", "n")),
                   CASE WHEN m % 2 = 0 THEN 'inbound' ELSE 'outbound' END, CASE WHEN m % 2 = 0 THEN 'contact' ELSE 'user' END,
                   CASE WHEN m % 2 = 0 THEN 'received' ELSE 'delivered' END,
                   'hello, it is about word' || n % 250 || CASE m WHEN 0 THEN ' and parcel' || n ELSE '' END,
                   (extract(epoch FROM at) * 1000000)::bigint + m, at
              FROM (
                    SELECT n, now() - make_interval(secs => (\(rows)::integer - n) * 60.0) AS at
                      FROM generate_series(\(first)::bigint, \(last)::bigint) AS n
                   ) AS made, generate_series(0, 4) AS m
            """,
        ]
    }

    /// Organisations with ten tickets each: neighbours whose rows lie between.
    static func neighbours(_ count: Int, _ postgres: Postgres, progress: (String) -> Void) async throws {
        for number in 1...count {
            let org = UUID()
            let organisation: SQL = "\(org)"
            _ = try await postgres.transaction(
                opening: ["SELECT enter_organisation(\(org))", "SET LOCAL synchronous_commit = off"]
            ) { connection in
                try await connection.run([
                    "INSERT INTO organisations (id, name, slug) VALUES (\(org), 'Neighbour', \("neighbour-\(org)"))",
                    "INSERT INTO channels (org_id, id, type, name) VALUES (\(org), \(org), 'mock', 'Line')",
                    "INSERT INTO contacts (org_id, id, name) VALUES (\(org), \(org), 'Customer')",
                    "INSERT INTO conversations (org_id, channel_id, contact_id) VALUES (\(org), \(org), \(org))",
                    """
                    INSERT INTO tickets (org_id, number, channel_id, contact_id, subject)
                    SELECT \(raw: organisation), n, \(raw: organisation), \(raw: organisation), 'Where is it?' FROM generate_series(1, 10) AS n
                    """,
                ])
            }
            if number % 250 == 0 { progress("\(number) of \(count) other organisations") }
        }
    }
}
