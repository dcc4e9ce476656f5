import Foundation
import Functions
import Postgres
import Testing

@Suite struct ListContactsTests {
    @Test(
        arguments: [
            ("jane", ["Jane O'Hara"]), ("JAN", ["Jane O'Hara"]), ("o'hara jane", ["Jane O'Hara"]),
            ("hara", ["Jane O'Hara"]),
            ("+4915550001", ["Jane O'Hara"]), ("0049 (155) 50-001", ["Jane O'Hara"]),
            ("49155", ["Kim Lee", "Jane O'Hara"]),
            ("kim@ex", ["Kim Lee"]), ("kim@example.com", ["Kim Lee"]), ("example", ["Kim Lee"]), ("kimmy", ["Kim Lee"]),
            ("jane lee", []), ("!!", []), ("' \\ & | :*", []), ("zoe", []),
        ] as [(String, [String])]
    )
    func findsBeginningsOfWords(_ words: String, _ names: [String]) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let other = try await world.admin("Other")
            let web = try await world.mock(jane)
            let people: [JSON] = [
                ["name": "Jane O'Hara", "phone": "+49 155 50001"],
                ["name": "Kim Lee", "phone": "+4915550002", "email": "kim@example.com", "handle": "kimmy.42"],
            ]
            for person in people { _ = try await world.ticket(jane, on: web, [.init("contact", person)]) }

            let reply = try await world.call("list-contacts", as: jane, query: [("q", words)])

            #expect(reply["data"]?.array?.compactMap { $0["name"]?.string } == names)
            #expect(try await world.call("list-contacts", as: other, query: [("q", words)])["data"] == [])
        }
    }

    @Test func pagesThroughAllAndThroughWhatMatches() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            for number in 0..<7 {
                let person: JSON = ["name": .string("Kim \(number)"), "handle": .string("kim\(number)")]
                _ = try await world.ticket(jane, on: web, [.init("contact", person)])
            }
            func all(_ query: [(name: String, value: String)]) async throws -> [String] {
                var names: [String] = []
                var cursor: String?
                repeat {
                    let page = try await world.call(
                        "list-contacts",
                        as: jane,
                        query: query + [("limit", "3")] + (cursor.map { [("cursor", $0)] } ?? [])
                    )
                    names += page["data"]?.array?.compactMap { $0["name"]?.string } ?? []
                    cursor = page["nextCursor"]?.string
                } while cursor != nil && names.count < 50
                return names
            }

            let newestFirst = (0..<7).reversed().map { "Kim \($0)" }
            let listed = try await all([])
            let found = try await all([("q", "kim")])

            #expect(listed == newestFirst)
            #expect(found == newestFirst)
        }
    }
}
