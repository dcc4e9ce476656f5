import Foundation
import Functions
import Postgres
import Testing

@Suite struct ListMessagesTests {
    @Test func pagesBothWaysAndOnFromTheTicket() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let messages = (0..<60).map { World.Inbound(text: "\($0)").data(web) }
            _ = try await world.work("receive-message", messages)
            let id = try await world.call("list-tickets", as: jane).text("data.0.id")
            func texts(_ reply: World.Reply, _ list: String = "data") -> [String] {
                reply[list]?.array?.compactMap { $0["text"]?.string } ?? []
            }
            func list(_ query: [(name: String, value: String)]) async throws -> World.Reply {
                try await world.call("list-messages", as: jane, path: ["ticketId": id], query: query)
            }

            let first = try await list([])
            let second = try await list([("cursor", first.text("nextCursor")), ("limit", "100")])
            let ticket = try await world.show(id, as: jane)
            let older = try await list([("order", "desc"), ("cursor", ticket.text("messagesNextCursor"))])
            let wrong = try await list([("cursor", ticket.text("messagesNextCursor"))])

            #expect(texts(first) + texts(second) == (0..<60).map(String.init))
            #expect(second["nextCursor"] == .null)
            #expect(texts(ticket, "messages") == (10..<60).map(String.init))
            #expect(texts(older) == (0..<10).reversed().map(String.init))
            #expect(wrong.faults == ["cursor is not a cursor of this list"])
        }
    }
}
