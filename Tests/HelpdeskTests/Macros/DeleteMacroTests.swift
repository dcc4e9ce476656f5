import Foundation
import Functions
import Testing

@Suite struct DeleteMacroTests {
    @Test func endsItForEveryCall() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let ticket = try await world.ticket(jane, on: try await world.mock(jane))
            let id = try await world.macro(jane, "Hello")

            let reply = try await world.call("delete-macro", as: jane, path: ["macroId": id])

            #expect(reply.status == 204)
            #expect(try await world.call("delete-macro", as: jane, path: ["macroId": id]).status == 404)
            #expect(try await world.call("update-macro", as: jane, path: ["macroId": id], body: [:]).status == 404)
            #expect(
                try await world.run(id, on: ticket, as: jane).faults == ["/macroId is not a macro of this organisation"]
            )
            #expect(try await world.audited(jane.organisation).suffix(1) == ["macro.delete"])
        }
    }
}
