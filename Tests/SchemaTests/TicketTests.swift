import Foundation
import Postgres
import Security
import Testing

@testable import Schema

@Suite struct TicketTests {
    @Test func numbersRiseFromOneAndAreNeverGivenTwice() async throws {
        let world = try await World()

        let first = try await world.query("SELECT next_ticket_number(\(world.org)) AS number")
        let block = try await world.query("SELECT next_ticket_number(\(world.org), 3) AS number")
        let numbers = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    try await world.query("SELECT next_ticket_number(\(world.org)) AS number").first?.get("number") ?? 0
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }

        // The world's own ticket has number 1.
        #expect(try first.first?.get("number", as: Int.self) == 2)
        #expect(try block.first?.get("number", as: Int.self) == 3)
        #expect(numbers.sorted() == Array(6...25))
    }

    @Test func takesAProvidersMessageOncePerChannel() async throws {
        let world = try await World()
        let insert: SQL = """
            INSERT INTO messages
                (org_id, channel_id, contact_id, ticket_id, direction, author_type, status, text, external_id, accepted_at)
            VALUES (\(world.org), \(world.channel), \(world.contact), \(world.ticket), 'inbound', 'contact', 'received', 'Hi', 'm-1', 1)
            ON CONFLICT (org_id, channel_id, external_id) DO NOTHING
            """

        let inserted = try await [world.query(insert).affected, world.query(insert).affected]

        #expect(inserted == [1, 0])
    }

    @Test func knowsANumberOnAllChannelsAndAHandleOnOne() async throws {
        let world = try await World()
        let second = UUID.v7()
        try await world.query(
            "INSERT INTO channels (org_id, id, type, name) VALUES (\(world.org), \(second), 'twitter', 'X')"
        )
        func insert(_ kind: String, _ value: String, on channel: UUID?) async throws -> Int {
            try await world.query(
                """
                INSERT INTO contact_identities (org_id, channel_id, kind, value, contact_id)
                VALUES (\(world.org), \(channel), \(kind), \(value), \(world.contact))
                ON CONFLICT (org_id, scope, kind, value) DO NOTHING
                """
            ).affected
        }

        let numbers = try await [
            insert("phone", "+4915112345678", on: nil), insert("phone", "+4915112345678", on: nil),
        ]
        let handles = try await [
            insert("handle", "carl", on: world.channel), insert("handle", "carl", on: second),
            insert("handle", "carl", on: second),
        ]
        let astray = try await sqlState { _ = try await insert("phone", "+4915112345679", on: second) }

        #expect(numbers == [1, 0])
        #expect(handles == [1, 1, 0])
        #expect(astray == "23514")
    }

    @Test func storesAnInboundTextOfAnyLength() async throws {
        let world = try await World()
        let text = (0..<400_000).map { "w\($0)" }.joined(separator: " ")

        try await world.query(
            """
            INSERT INTO messages (org_id, channel_id, contact_id, ticket_id, direction, author_type, status, text)
            VALUES (\(world.org), \(world.channel), \(world.contact), \(world.ticket), 'inbound', 'contact', 'received', \(text))
            """
        )

        let rows = try await world.query("SELECT text = \(text) AS same FROM messages")
        #expect(try rows.first?.get("same", as: Bool.self) == true)
    }

    @Test func ordersEventsByTransactionAndId() async throws {
        let world = try await World()
        let insert: SQL =
            "INSERT INTO events (org_id, type, entity_id) VALUES (\(world.org), 'ticket.updated', \(world.ticket))"
        try await world.run([insert, insert])
        try await world.run([insert])

        let rows = try await world.query(
            """
            SELECT count(DISTINCT xid) AS transactions, count(*) AS events
              FROM events
             WHERE org_id = \(world.org) AND xid < pg_snapshot_xmin(pg_current_snapshot())
            """
        )

        // Other suites' transactions may hold xmin back, so that the newest ones are not to be read yet.
        #expect(try rows.first?.get("transactions", as: Int.self) ?? 9 <= 2)
        #expect(try await world.count("events") == 3)
    }

    @Test func makesUUIDsOfVersionSeven() async throws {
        let world = try await World()

        let rows = try await world.query("SELECT uuid_v7() AS id, now_micros() AS micros")

        let row = try #require(rows.first)
        let id: UUID = try row.get("id")
        let (high, micros) = (id.uuidString.replacing("-", with: "").prefix(12), try row.get("micros", as: Int.self))
        #expect(id.uuid.6 >> 4 == 7)
        #expect(id.uuid.8 >> 6 == 2)
        #expect(abs((Int(high, radix: 16) ?? 0) - micros / 1000) <= 2)
        #expect(abs(Double(micros) / 1_000_000 - Date().timeIntervalSince1970) < 60)
    }
}
