import Foundation
import Functions
import Testing

@Suite struct ListMacrosTests {
    @Test func listsByNamePageByPage() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            for name in ["b", "A", "d", "C"] { _ = try await world.macro(jane, "x", name: name) }

            let first = try await world.call("list-macros", as: jane, query: [("limit", "3")])
            let second = try await world.call(
                "list-macros",
                as: jane,
                query: [("limit", "3"), ("cursor", first.text("nextCursor"))]
            )

            #expect(first["data"]?.array?.map { $0["name"] } == ["A", "b", "C"])
            #expect(second["data"]?.array?.map { $0["name"] } == ["d"])
            #expect(second["nextCursor"] == .null)
        }
    }
}
