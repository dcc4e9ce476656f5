import Foundation
import TestSupport
import Testing

@Suite struct MacrosContractTests {
    static let members: Set = ["id", "orgId", "name", "content", "actions", "createdAt", "updatedAt"]

    @Test func aMacroIsMadeChangedListedAndDeleted() async throws {
        let acme = try await Contract.admin()
        let path = "/orgs/macros/" + acme.id

        let made = try await acme.api.post(path, ["name": "Refund", "content": "Hello {{contact.name}}"])
        let own = path + "/" + (made.string("id") ?? "")
        let changed = try await acme.api.put(own, ["actions": [["type": "set_status", "value": "closed"]]])
        _ = try await acme.api.post(path, ["name": "apology", "content": "Sorry"])
        let list = try await acme.api.get(path)
        let deleted = try await acme.api.delete(own)

        #expect(made.status == 201)
        #expect(made.keys == Self.members)
        #expect(made.object["actions"] as? [String] == [])
        #expect(changed.status == 200)
        #expect(changed.string("content") == "Hello {{contact.name}}")
        #expect(changed.string("actions.0.value") == "closed")
        #expect(list.texts("name") == ["apology", "Refund"])
        #expect(list.keys == ["data", "nextCursor"])
        #expect(deleted.status == 204)
        #expect(try await acme.api.put(own, ["name": "x"]).problem == "404")
        #expect(try await acme.audited(made.string("id") ?? "") == ["macro.create", "macro.update", "macro.delete"])
    }

    @Test func namesAreUniqueInAnyCaseAndFaultsComeAllAtOnce() async throws {
        let acme = try await Contract.admin()
        let path = "/orgs/macros/" + acme.id
        _ = try await acme.api.post(path, ["name": "Refund", "content": "x"])

        let taken = try await acme.api.post(path, ["name": "REFUND", "content": "x"])
        let faulty = try await acme.api.post(
            path,
            ["content": "{{contact.age}}", "actions": [["type": "set_priority", "value": "x"]], "colour": 1]
        )

        #expect(taken.problem == "409")
        #expect(faulty.problem == "422 /actions/0/value /colour /content /name")
        #expect(faulty.text.contains("contact.age"))
    }

    @Test func anAgentWorksWithMacrosButAssignsNobody() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let path = "/orgs/macros/" + acme.id
        let assign = [["type": "assign", "value": agent.user]]

        let plain = try await agent.api.post(path, ["name": "a", "content": "x"])
        let refused = try await agent.api.post(path, ["name": "b", "content": "x", "actions": assign])
        let made = try await acme.api.post(path, ["name": "b", "content": "Mine", "actions": assign])
        let ticket = try await acme.ticketPath(on: acme.channel())
        let run = try await agent.api.post(ticket + "/messages", ["macroId": made.string("id") ?? ""])

        #expect(plain.status == 201)
        #expect(refused.problem == "403")
        #expect(run.status == 201)
        #expect(run.string("text") == "Mine")
        #expect(try await acme.api.get(ticket).string("assignee.id") == agent.user)
        #expect(try await agent.api.delete(path + "/" + (plain.string("id") ?? "")).status == 204)
    }

    @Test func aMessageMadeOfOneIsReplayedAndItsActionsAreNot() async throws {
        let acme = try await Contract.admin()
        let ticket = try await acme.ticketPath(on: acme.channel(), ["subject": "Parcel"])
        let macro = try await acme.api.post(
            "/orgs/macros/" + acme.id,
            [
                "name": "Close",
                "content":
                    "#{{ticket.number}} {{ticket.subject}}: {{contact.name}}, {{agent.name}} of {{organisation.name}}",
                "actions": [["type": "set_status", "value": "closed"], ["type": "add_tag", "value": "done"]],
            ]
        )
        let body = ["macroId": macro.string("id") ?? ""]
        func post() async throws -> APIClient.Answer {
            try await acme.api.post(ticket + "/messages", body, headers: ["Idempotency-Key": "k"])
        }

        let first = try await post()
        _ = try await acme.api.put(ticket, ["status": "open", "tags": []])
        let again = try await post()

        #expect(first.status == 201)
        #expect(first.string("text") == "#1 Parcel: Jane, Ada of Acme")
        #expect(again.body == first.body)
        let shown = try await acme.api.get(ticket)
        #expect(shown.string("status") == "open")
        #expect(shown.object["tags"] as? [String] == [])
        let entry = try await acme.api.get(acme.path + "/audit-logs?action=message.send")
        #expect(entry.data.count == 1)
        #expect(entry.string("data.0.changes.status.to") == "closed")
    }
}
