import Functions
import Testing

@Suite struct ListContactTicketsTests {
    @Test func listsAllOfThemTheNewestMessageFirst() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let (web, shop) = (try await world.mock(jane), try await world.mock(jane))
            let first = try await world.ticket(jane, on: web)
            let second = try await world.ticket(jane, on: shop)
            _ = try await world.ticket(jane, on: web, [.init("contact", ["handle": "somebody.else"])])
            _ = try await world.send("Hello", first, as: jane)
            let kim = try await world.contact("kim", of: jane)
            func page(_ query: (name: String, value: String)...) async throws -> World.Reply {
                try await world.call("list-contact-tickets", as: jane, path: ["contactId": kim], query: query)
            }

            let all = try await page()
            let one = try await page(("limit", "1"))
            let two = try await page(("limit", "1"), ("cursor", one.text("nextCursor")))

            #expect(all["data"]?.array?.map { $0["id"]?.string } == [first, second])
            #expect([one, two].map { $0.text("data.0.id") } == [first, second])
            #expect(two["nextCursor"] == .null)
        }
    }
}
