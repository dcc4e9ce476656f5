import Foundation
import Functions
import Postgres
import Testing

@Suite struct ListTicketsTests {
    /// Tickets 1…7 of one organisation, and one of another; the later the number, the newer.
    private func populate(_ world: World) async throws -> (jane: Caller, web: String) {
        let jane = try await world.admin()
        let web = try await world.mock(jane)
        let other = try await world.mock(jane)
        let bob = try await world.admin("Other")
        _ = try await world.ticket(bob, on: try await world.mock(bob))
        let rows: [(String, [JSON.Member])] = [
            (web, [.init("priority", "low"), .init("tags", ["vip"]), .init("subject", "Broken parcel")]),
            (web, [.init("priority", "urgent"), .init("assigneeId", .string(jane.user.uuidString))]),
            (other, [.init("priority", "high"), .init("tags", ["vip", "refund"])]),
            (web, [.init("contact", ["handle": "zoë", "name": "Zoë Quinn"])]),
            (web, []), (other, []), (web, [.init("priority", "urgent")]),
        ]
        for (channel, more) in rows { _ = try await world.ticket(jane, on: channel, more) }
        for number in [2, 5] {
            let ids = try await world.column(
                "SELECT id::text FROM tickets WHERE org_id = \(jane.organisation) AND number = \(number)"
            )
            _ = try await world.call("close-ticket", as: jane, path: ["ticketId": ids[0] ?? ""])
        }
        return (jane, web)
    }

    private func numbers(_ reply: World.Reply) -> [Int] {
        (reply["data"]?.array ?? []).compactMap { $0["number"]?.integer }
    }

    @Test func filtersAndSorts() async throws {
        try await World.with { world in
            let (jane, web) = try await populate(world)
            let contact = try await world.column("SELECT id::text FROM contacts WHERE handle = 'zoë'")[0] ?? ""
            let cases: [([(String, String)], [Int])] = [
                ([], [7, 6, 5, 4, 3, 2, 1]),
                ([("sort", "createdAt")], [1, 2, 3, 4, 5, 6, 7]),
                ([("sort", "-priority")], [7, 2, 3, 6, 5, 4, 1]),
                ([("status", "closed")], [5, 2]),
                ([("status", "open,pending")], [7, 6, 4, 3, 1]),
                ([("status", "open,pending,closed"), ("sort", "lastMessageAt")], [1, 2, 3, 4, 5, 6, 7]),
                ([("status", "closed,open"), ("sort", "-priority")], [7, 2, 3, 6, 5, 4, 1]),
                ([("priority", "urgent,high")], [7, 3, 2]),
                ([("channelId", web), ("priority", "urgent")], [7, 2]),
                ([("tag", "vip")], [3, 1]),
                ([("tag", "refund,none")], [3]),
                ([("assigneeId", "me")], [2]),
                ([("assigneeId", jane.user.uuidString)], [2]),
                ([("assigneeId", "none"), ("status", "closed")], [5]),
                ([("contactId", contact)], [4]),
                ([("createdFrom", "2020-01-01"), ("createdTo", "2020-01-02")], []),
                ([("createdFrom", "2020-01-01T00:00:00Z")], [7, 6, 5, 4, 3, 2, 1]),
                ([("q", "parcel")], [1]),
                ([("q", "zoë"), ("status", "open"), ("sort", "createdAt")], [4]),
                ([("q", "Kim"), ("priority", "urgent")], [7, 2]),
                ([("q", "Kim"), ("assigneeId", "none"), ("createdFrom", "2020-01-01")], [7, 6, 5, 3, 1]),
                ([("q", "'\"&|!(")], []),
            ]
            for (query, expected) in cases {
                let reply = try await world.call(
                    "list-tickets",
                    as: jane,
                    query: query.map { (name: $0.0, value: $0.1) }
                )
                #expect(reply.status == 200, "\(query)")
                #expect(numbers(reply) == expected, "\(query)")
            }
        }
    }

    @Test(
        arguments: ["-lastMessageAt", "lastMessageAt", "-createdAt", "createdAt", "-priority"],
        [[], [("q", "Kim")], [("status", "open,closed")]]
    )
    func pagesWithoutGapsOrRepetitions(sort: String, filter: [(String, String)]) async throws {
        try await World.with { world in
            let (jane, _) = try await populate(world)
            // Ties are broken by id.
            _ = try await world.owner.query("UPDATE tickets SET last_message_at = now(), created_at = now()")
            let query = [(name: "sort", value: sort)] + filter.map { (name: $0.0, value: $0.1) }
            let whole = numbers(try await world.call("list-tickets", as: jane, query: query + [("limit", "100")]))

            var paged: [Int] = []
            var cursor: String?
            repeat {
                let page = try await world.call(
                    "list-tickets",
                    as: jane,
                    query: query + [("limit", "2")] + (cursor.map { [("cursor", $0)] } ?? [])
                )
                paged += numbers(page)
                cursor = page["nextCursor"]?.string
            } while cursor != nil && paged.count < 20

            #expect(whole.count == (filter.first?.0 == "q" ? 6 : 7))
            #expect(paged == whole)
        }
    }

    @Test func refusesACursorOfAnotherListAndBadParameters() async throws {
        try await World.with { world in
            let (jane, _) = try await populate(world)
            let cursor = try await world.call("list-tickets", as: jane, query: [("limit", "2")]).text("nextCursor")

            let cases: [([(String, String)], String)] = [
                ([("cursor", cursor), ("sort", "createdAt")], "cursor is not a cursor of this list"),
                ([("cursor", cursor), ("tag", "vip")], "cursor is not a cursor of this list"),
                ([("cursor", "x")], "cursor is not a cursor of this list"),
                ([("limit", "101")], "limit must be an integer in 1 to 100"),
                ([("assigneeId", "you")], "assigneeId must be a UUID or one of me, none"),
                ([("status", "open,shut")], "status must be one of open, pending, closed"),
            ]
            for (query, fault) in cases {
                let reply = try await world.call(
                    "list-tickets",
                    as: jane,
                    query: query.map { (name: $0.0, value: $0.1) }
                )
                #expect(reply.status == 422)
                #expect(reply.faults == [fault])
            }
        }
    }
}
