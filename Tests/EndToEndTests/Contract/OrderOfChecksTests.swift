import Postgres
import TestSupport
import Testing

/// Unknown path 404, verb 405, token 401, organisation 403, role 403, body 413/415/400, input 422, ids 404, state 409.
@Suite struct OrderOfChecksTests {
    @Test func eachCheckComesBeforeTheNext() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let nobody = try await Contract.host().api
        let text = ["Content-Type": "text/plain"]
        let large = String(repeating: "x", count: 1 << 20 + 1)
        let channels = acme.path + "/channels"

        #expect(try await nobody.send("DELETE", "/no/such/path").problem == "404")
        #expect(try await nobody.send("DELETE", acme.path + "/tickets").problem == "405")
        #expect(try await nobody.get("/orgs/\(Contract.unknownId)").problem == "401")
        #expect(try await nobody.send("POST", channels, bytes: "{").problem == "401")
        #expect(
            try await agent.api.send("POST", "/orgs/\(Contract.unknownId)/channels", bytes: "{", headers: text).problem
                == "403"
        )
        #expect(try await agent.api.send("POST", channels, bytes: large, headers: text).problem == "403")
        #expect(try await acme.api.send("POST", channels, bytes: large, headers: text).problem == "413")
        #expect(try await acme.api.send("POST", channels, bytes: "{", headers: text).problem == "415")
        #expect(try await acme.api.send("POST", channels, bytes: "{").problem == "400")
        #expect(try await acme.api.get(acme.path + "/tickets?limit=").problem == "422 limit")
        #expect(try await acme.api.get(acme.path + "/tickets?cursor=").problem == "422 cursor")
        let malformed = acme.path + "/tickets/xyz"
        #expect(try await acme.api.with(token: nil).get(malformed).problem == "401")
        #expect(try await acme.api.delete(malformed).problem == "405")
        #expect(try await agent.api.delete(acme.path + "/channels/xyz").problem == "403")
        #expect(try await acme.api.put(malformed, ["status": "x"]).problem == "422 /status")
        #expect(try await acme.api.put(malformed, ["status": "open"]).problem == "404")
        #expect(try await acme.api.get("/orgs/xyz/tickets").problem == "404")
        #expect(try await acme.api.get("/webhook/xyz").problem == "404")
        let ticket = acme.path + "/tickets/" + Contract.unknownId
        #expect(try await acme.api.put(ticket, ["status": "x"]).problem == "422 /status")
        #expect(try await acme.api.get(ticket + "/messages?limit=0").problem == "422 limit")
        #expect(try await acme.api.get(ticket + "/messages?cursor=x").problem == "422 cursor")
        #expect(try await acme.api.put(ticket, ["status": "open"]).problem == "404")
    }

    @Test func aRevokedSessionHearsNothingButThat() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let host = try await Contract.host()
        _ = try await host.database.rows("UPDATE users SET status = 'deactivated' WHERE id = \(agent.user)::uuid")

        #expect(try await agent.api.get("/auth/me").problem == "401")
        #expect(try await agent.api.get("/orgs/\(Contract.unknownId)").problem == "401")
        #expect(try await agent.api.post(acme.path + "/channels").problem == "401")
        #expect(try await agent.api.get(acme.path + "/tickets?limit=0").problem == "401")
        #expect(try await host.api.logIn(agent.email).problem == "401")
    }

    @Test func aLimitIsTheLastByteThatFits() async throws {
        let acme = try await Contract.admin()
        let body = #"{"type": "mock", "name": "n"}"#
        let fits = body + String(repeating: " ", count: 1 << 20 - body.utf8.count)

        #expect(try await acme.api.send("POST", acme.path + "/channels", bytes: fits).status == 201)
        #expect(try await acme.api.send("POST", acme.path + "/channels", bytes: fits + " ").problem == "413")
    }

    @Test func adminsOnlyMeansThatAgentsGet403() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let channel = try await acme.channel()
        let ticket = try await acme.ticketPath(on: channel)

        for (method, path) in [
            ("PATCH", ""), ("POST", "/channels"), ("PUT", "/channels/\(channel)"), ("DELETE", "/channels/\(channel)"),
            ("POST", "/tickets"), ("GET", "/audit-logs"), ("GET", "/audit-logs/summary"),
        ] {
            #expect(try await agent.api.send(method, acme.path + path).problem == "403", "\(method) \(path)")
        }
        #expect(try await agent.api.post(ticket + "/assign").problem == "403")
        for path in ["", "/channels", "/channels/\(channel)", "/channels/\(channel)/templates", "/tickets"] {
            #expect(try await agent.api.get(acme.path + path).status == 200, "GET \(path)")
        }
        #expect(try await agent.api.put(ticket, ["subject": "s"]).status == 200)
        #expect(try await agent.api.post(ticket + "/messages", ["text": "x"]).status == 201)
        #expect(try await agent.api.post(ticket + "/close").status == 200)
        #expect(try await agent.api.post(ticket + "/read").status == 204)
    }
}
