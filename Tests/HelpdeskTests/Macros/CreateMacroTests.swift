import Foundation
import Functions
import Postgres
import Testing

@Suite struct CreateMacroTests {
    @Test func savesAReplyAndRecordsIt() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let actions: JSON = [
                ["type": "set_status", "value": "closed"], ["type": "set_priority", "value": "low"],
                ["type": "add_tag", "value": "refund"],
                ["type": "assign", "value": .string(jane.user.uuidString.uppercased())],
            ]

            let reply = try await world.call(
                "create-macro",
                as: jane,
                body: ["name": "Refund", "content": "Hello {{contact.name}}", "actions": actions]
            )

            #expect(reply.status == 201)
            #expect(reply["content"] == "Hello {{contact.name}}")
            #expect(reply["actions.0"] == ["type": "set_status", "value": "closed"])
            #expect(reply.text("actions.3.value") == jane.user.uuidString.lowercased())
            #expect(try await world.audited(jane.organisation).last == "macro.create")
        }
    }

    @Test(
        arguments: [
            ([:], ["/name is required", "/content is required"]),
            (["name": " ", "content": "\n"], ["/name must not be blank", "/content must not be blank"]),
            (
                ["name": "a", "content": .string(String(repeating: "x", count: 4097))],
                ["/content must have 1 to 4096 characters, not 4097"]
            ),
            (
                ["name": "a", "content": "{{contact.age}} {{ }} {{contact.age}}"],
                [
                    "/content has the unknown variable {{contact.age}}; known are contact.name, contact.phone, "
                        + "contact.email, ticket.number, ticket.subject, agent.name, organisation.name",
                    "/content has the unknown variable {{}}; known are contact.name, contact.phone, "
                        + "contact.email, ticket.number, ticket.subject, agent.name, organisation.name",
                ]
            ),
            (
                [
                    "name": "a", "content": "b",
                    "actions": [
                        ["type": "set_status", "value": "gone"], ["type": "set_priority", "value": 1],
                        ["type": "add_tag", "value": ""], ["type": "assign", "value": "me"],
                        ["type": "explode", "value": "x"], ["type": "add_tag"],
                    ],
                ],
                [
                    "/actions/4/type must be one of set_status, set_priority, add_tag, assign",
                    "/actions/5/value is required", "/actions/0/value must be one of open, pending, closed",
                    "/actions/1/value must be a string, not a number",
                    "/actions/2/value must have 1 to 50 characters, not 0", "/actions/3/value must be a UUID",
                ]
            ),
        ] as [(JSON, [String])]
    )
    func refuses(_ body: JSON, because faults: [String]) async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await world.call("create-macro", as: jane, body: body)

            #expect(reply.status == 422)
            #expect(reply.faults == faults)
            #expect(try await world.column("SELECT count(*) FROM macros") == ["0"])
        }
    }

    @Test func refusesToAssignToAnybodyButAnActiveMember() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let eve = try await world.admin("Other")
            let joe = try await world.agent(of: jane)
            _ = try await world.owner.query("UPDATE users SET status = 'deactivated' WHERE id = \(joe.user)")
            func create(_ users: Caller...) async throws -> World.Reply {
                let actions = users.map { ["type": "assign", "value": .string("\($0.user)")] as JSON }
                return try await world.call(
                    "create-macro",
                    as: jane,
                    body: ["name": "a", "content": "b", "actions": .array(actions)]
                )
            }

            let reply = try await create(jane, eve, joe)

            #expect(
                reply.faults == [
                    "/actions/1/value is not an active member", "/actions/2/value is not an active member",
                ]
            )
            #expect(try await create(jane).status == 201)
        }
    }

    @Test func aNameIsOneMacrosInAnyCaseAndAtOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let other = try await world.admin("Other")
            let names = ["Grüße", "GRÜSSE", "grüße", "GRÜßE"]

            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for name in names {
                    group.addTask {
                        let body: JSON = ["name": .string(name), "content": "x"]
                        return try await world.call("create-macro", as: jane, body: body).status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let elsewhere = try await world.call("create-macro", as: other, body: ["name": "grüße", "content": "x"])

            #expect(statuses.sorted() == [201, 201, 409, 409])
            #expect(elsewhere.status == 201)
            #expect(try await world.audited(jane.organisation).filter { $0 == "macro.create" }.count == 2)
        }
    }

    @Test func onlyAnAdminMayPutAssignIntoOne() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let joe = try await world.agent(of: jane)
            let assign: JSON = [["type": "assign", "value": .string("\(joe.user)")]]

            let refused = try await world.call(
                "create-macro",
                as: joe,
                body: ["name": "a", "content": "b", "actions": assign]
            )
            let plain = try await world.macro(joe, "b")
            let added = try await world.call(
                "update-macro",
                as: joe,
                path: ["macroId": plain],
                body: ["actions": assign]
            )
            _ = try await world.call("update-macro", as: jane, path: ["macroId": plain], body: ["actions": assign])
            let kept = try await world.call(
                "update-macro",
                as: joe,
                path: ["macroId": plain],
                body: ["content": "c", "actions": assign]
            )

            #expect([refused, added, kept].map(\.status) == [403, 403, 200])
            #expect(kept["content"] == "c")
        }
    }
}
