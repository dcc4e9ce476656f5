import Foundation
import Functions
import Testing

@Suite struct MacroTextTests {
    @Test(
        arguments: [
            ("Hello {{contact.name}}!", "Hello Kim!"), ("{{ contact.name }}{{contact.phone}}", "Kim+4915550001"),
            ("[{{contact.email}}]", "[]"), ("{{{contact.name}}}", "{Kim}"), ("{{contact.name}", "{{contact.name}"),
            ("{contact.name}}", "{contact.name}}"), ("{{contact\n.name}}", "{{contact\n.name}}"),
            ("#{{ticket.number}} {{ticket.subject}} {{agent.name}} {{organisation.name}}", "#1  Jane Doe Acme"),
            ("é{{contact.name}}👍", "éKim👍"),
        ]
    )
    func fillsItsVariables(_ content: String, _ text: String) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let ticket = try await world.ticket(jane, on: try await world.mock(jane))
            let macro = try await world.macro(jane, content)

            let reply = try await world.run(macro, on: ticket, as: jane)

            #expect(reply["text"] == .string(text))
        }
    }

    @Test func whatAValueLooksLikeIsNoVariable() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let person: JSON = ["handle": "kim", "name": "{{agent.name}}"]
            let ticket = try await world.ticket(jane, on: try await world.mock(jane), [.init("contact", person)])
            let macro = try await world.macro(jane, "Hello {{contact.name}}")

            let reply = try await world.run(macro, on: ticket, as: jane)

            #expect(reply["text"] == "Hello {{agent.name}}")
        }
    }
}
