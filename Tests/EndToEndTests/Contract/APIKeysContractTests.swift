import Foundation
import TestSupport
import Testing

@Suite struct APIKeysContractTests {
    private static func make(_ acme: Organisation, _ role: String, _ more: [String: Any] = [:]) async throws
        -> APIClient.Answer
    {
        try await acme.api.post(
            acme.path + "/api-keys",
            ["name": "Warehouse", "role": role].merging(more) { _, new in new }
        )
    }

    @Test func aKeyIsShownOnceAndEndsWithItsDeletion() async throws {
        let acme = try await Contract.admin()

        let made = try await Self.make(acme, "agent", ["expiresAt": "2126-11-22T14:45:00+01:00"])
        let machine = acme.api.with(token: made.string("key"))
        let used = try await machine.get(acme.path + "/tickets")
        let list = try await acme.api.get(acme.path + "/api-keys")
        let deleted = try await acme.api.delete(acme.path + "/api-keys/" + (made.string("id") ?? ""))
        let after = try await machine.get(acme.path + "/tickets")

        let members: Set = ["id", "orgId", "name", "role", "prefix", "expiresAt", "lastUsedAt", "createdAt"]
        #expect(made.status == 201)
        #expect(made.keys == members.union(["key"]))
        #expect(made.string("expiresAt") == "2126-11-22T13:45:00.000Z")
        #expect(used.status == 200)
        #expect(list.data.map { Set($0.keys) } == [members])
        #expect(list.string("data.0.lastUsedAt") != nil)
        #expect(deleted.status == 204)
        #expect(after.problem == "401")
        #expect(try await acme.audited(made.string("id") ?? "") == ["api_key.create", "api_key.delete"])
    }

    @Test func aKeyMayWhatItsRoleMay() async throws {
        let acme = try await Contract.admin()
        let other = try await Contract.admin()
        let agent = acme.api.with(token: try await Self.make(acme, "agent").string("key"))
        let admin = acme.api.with(token: try await Self.make(acme, "admin").string("key"))
        let channel: [String: Any] = ["type": "mock", "name": "n"]

        #expect(try await agent.post(acme.path + "/channels", channel).problem == "403")
        #expect(try await admin.post(acme.path + "/channels", channel).status == 201)
        #expect(try await admin.post(acme.path + "/api-keys", ["name": "b", "role": "agent"]).status == 201)
        #expect(try await admin.get(other.path).problem == "403")
        #expect(try await admin.get("/auth/me").problem == "403")
        #expect(try await admin.post("/auth/logout", ["refreshToken": "x"]).problem == "403")
        #expect(try await admin.get(acme.path + "/tickets?assigneeId=me").problem == "422 assigneeId")
        for made in ["dck_", "dck_x", "dck_" + String(repeating: "A", count: 87)] {
            #expect(try await acme.api.with(token: made).get(acme.path).problem == "401", "\(made)")
            // Not even whether the organisation is another one.
            #expect(try await acme.api.with(token: made).get(other.path).problem == "401", "\(made)")
        }
    }

    @Test func whatAKeyDoesIsItsOwnAndIdempotentPerKey() async throws {
        let acme = try await Contract.admin()
        let made = try await Self.make(acme, "agent")
        let keys = [made, try await Self.make(acme, "agent")].map { acme.api.with(token: $0.string("key")) }
        let ticket = try await acme.ticketPath(on: acme.channel())
        func post(_ api: APIClient) async throws -> APIClient.Answer {
            try await api.post(ticket + "/messages", ["text": "x", "note": true], headers: ["Idempotency-Key": "k"])
        }

        let first = try await post(keys[0])
        let again = try await post(keys[0])
        let others = try await post(keys[1])

        #expect(
            first.object["author"] as? [String: String] == [
                "type": "api_key", "id": made.string("id") ?? "", "name": "Warehouse",
            ]
        )
        #expect(again.body == first.body)
        #expect(again.headers["idempotency-replayed"] == "true")
        #expect(others.status == 201 && others.string("id") != first.string("id"))
        let entries = try await acme.api.get(acme.path + "/audit-logs?actorId=" + (made.string("id") ?? ""))
        #expect(entries.texts("action") == ["message.note"])
        #expect(entries.string("data.0.actor.type") == "api_key")
        #expect(entries.string("data.0.actor.name") == "Warehouse")
    }

    @Test(arguments: [
        (["name": "a"], "422 /role"), (["name": "a", "role": "owner"], "422 /role"),
        (["name": " ", "role": "agent"], "422 /name"),
        (["name": "a", "role": "agent", "expiresAt": "2020-01-01T00:00:00Z"], "422 /expiresAt"),
        (["name": "a", "role": "agent", "expiresAt": "soon"], "422 /expiresAt"),
    ])
    func refuses(_ body: [String: String], _ problem: String) async throws {
        let acme = try await Contract.bystander()

        let answer = try await acme.api.post(acme.path + "/api-keys", body)

        #expect(answer.problem == problem)
    }
}
