import Foundation
import TestSupport
import Testing

@Suite struct AuditContractTests {
    @Test func everyChangeWritesOneEntryThatTellsWhoAndWhence() async throws {
        let acme = try await Contract.admin()
        let made = try await acme.api.post(
            acme.path + "/channels",
            ["type": "mock", "name": "one"],
            headers: [
                "X-Request-Id": "request-1", "User-Agent": "agent/1.0", "X-Forwarded-For": "192.0.2.1, 198.51.100.7",
            ]
        )
        let id = made.string("id") ?? ""
        let path = acme.path + "/channels/" + id
        _ = try await acme.api.put(path, ["name": "two"])
        _ = try await acme.api.put(path, ["name": "two"])
        _ = try await acme.api.delete(path)

        let entries = try await acme.api.get(acme.path + "/audit-logs?entityId=" + id)

        #expect(entries.texts("action") == ["channel.delete", "channel.update", "channel.create"])
        let first = entries.data.last ?? [:]
        #expect(
            Set(first.keys) == [
                "id", "actor", "action", "entityType", "entityId", "changes", "ip", "userAgent", "requestId",
                "createdAt",
            ]
        )
        #expect(first["actor"] as? [String: String] == ["type": "user", "id": acme.user, "name": "Ada"])
        #expect(first["entityType"] as? String == "channel")
        #expect(first["requestId"] as? String == "request-1")
        #expect(first["userAgent"] as? String == "agent/1.0")
        #expect(first["ip"] as? String == "198.51.100.7")
        #expect(entries.string("data.1.changes.name.from") == "one")
        #expect(entries.string("data.1.changes.name.to") == "two")
    }

    @Test func filtersPagesAndSumsAgree() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let id = try await acme.ticket(on: acme.channel()).string("id") ?? ""
        let ticket = acme.path + "/tickets/" + id
        _ = try await agent.api.post(ticket + "/messages", ["text": "a"])
        _ = try await agent.api.post(ticket + "/messages", ["text": "b", "note": true])
        _ = try await acme.api.put(ticket, ["subject": "s", "priority": "high"])
        _ = try await Contract.host().api.logIn(acme.email, "wrong password")
        let list = acme.path + "/audit-logs"

        let all = try await acme.api.all(list)
        let paged = try await acme.api.all(list, limit: 2)
        let sum = try await acme.api.get(list + "/summary")

        func actions(_ entries: [[String: Any]]) -> [String] { entries.compactMap { $0["action"] as? String } }
        #expect(
            actions(all) == [
                "auth.login_failed", "ticket.update", "message.note", "message.send", "ticket.create", "channel.create",
                "auth.login", "auth.signup",
            ]
        )
        #expect(actions(paged) == actions(all))
        #expect(try await actions(acme.api.all(list, ["action": "message.note"])) == ["message.note"])
        #expect(try await actions(acme.api.all(list, ["entityType": "ticket"])) == ["ticket.update", "ticket.create"])
        #expect(
            try await actions(acme.api.all(list, ["actorId": agent.user])) == [
                "message.note", "message.send", "auth.login",
            ]
        )
        let middle = all[4]["createdAt"] as? String ?? ""
        let from = try await acme.api.all(list, ["from": middle])
        let to = try await acme.api.all(list, ["to": middle])
        #expect(from.allSatisfy { ($0["createdAt"] as? String ?? "") >= middle })
        #expect(to.allSatisfy { ($0["createdAt"] as? String ?? "") < middle })
        #expect(from.count + to.count == all.count)
        #expect(sum.keys == ["total", "byAction", "byActor"])
        #expect(sum.object["total"] as? Int == all.count)
        for key in ["byAction", "byActor"] {
            let counts = (sum.object[key] as? [[String: Any]] ?? []).compactMap { $0["count"] as? Int }
            #expect(counts.reduce(0, +) == all.count)
        }
    }

    @Test(arguments: [
        ("actorId", "x"), ("entityId", "x"), ("from", "x"), ("to", "2026-99-01"), ("limit", "0"), ("cursor", "x"),
    ])
    func refuses(_ parameter: String, _ value: String) async throws {
        let acme = try await Contract.bystander()

        #expect(try await acme.api.get(acme.path + "/audit-logs?\(parameter)=\(value)").problem == "422 \(parameter)")
    }
}
