import TestSupport
import Testing

@Suite struct TenancyContractTests {
    @Test func anotherOrganisationIs403WhetherItExistsOrNot() async throws {
        let acme = try await Contract.admin()
        let other = try await Contract.admin()

        for path in ["", "/channels", "/tickets", "/audit-logs", "/audit-logs/summary"] {
            let known = try await acme.api.get(other.path + path)
            let unknown = try await acme.api.get("/orgs/\(Contract.unknownId)\(path)")
            #expect(known.problem == "403", "\(path)")
            #expect(known.gist == unknown.gist, "\(path)")
        }
    }

    @Test func anotherOrganisationsRowIs404AsOneThatIsNowhere() async throws {
        let acme = try await Contract.admin()
        let other = try await Contract.admin()
        let channel = try await other.channel()
        let ticket = try await other.ticket(on: channel).string("id") ?? ""

        for (method, prefix, id, suffix, body) in [
            ("GET", "/channels/", channel, "", [:]), ("PUT", "/channels/", channel, "", ["name": "n"]),
            ("DELETE", "/channels/", channel, "", [:]), ("GET", "/channels/", channel, "/templates", [:]),
            ("GET", "/tickets/", ticket, "", [:]), ("PUT", "/tickets/", ticket, "", ["subject": "s"]),
            ("POST", "/tickets/", ticket, "/close", [:]), ("POST", "/tickets/", ticket, "/read", [:]),
            ("POST", "/tickets/", ticket, "/assign", ["userId": acme.user]),
            ("GET", "/tickets/", ticket, "/messages", [:]), ("POST", "/tickets/", ticket, "/messages", ["text": "x"]),
        ] as [(String, String, String, String, [String: String])] {
            let json: Any? = body.isEmpty ? nil : body
            let foreign = try await acme.api.send(method, acme.path + prefix + id + suffix, json: json)
            let unknown = try await acme.api.send(method, acme.path + prefix + Contract.unknownId + suffix, json: json)
            #expect(foreign.problem == "404", "\(method) \(prefix)…\(suffix)")
            #expect(foreign.gist == unknown.gist, "\(method) \(prefix)…\(suffix)")
        }
        #expect(try await other.audited(ticket) == ["ticket.create"])
    }

    @Test func anotherOrganisationsIdInABodyIs422() async throws {
        let acme = try await Contract.admin()
        let other = try await Contract.admin()
        let (mine, theirs) = (try await acme.channel(), try await other.channel())
        let contact = try await other.ticket(on: theirs).string("contact.id") ?? ""
        let ticket = try await acme.ticketPath(on: mine)
        let tickets = acme.path + "/tickets"

        #expect(
            try await acme.api.post(tickets, ["channelId": theirs, "contact": ["handle": "a"]]).problem
                == "422 /channelId"
        )
        #expect(
            try await acme.api.post(tickets, ["channelId": mine, "contactId": contact]).problem == "422 /contactId"
        )
        #expect(
            try await acme.api.post(
                tickets,
                ["channelId": mine, "contact": ["handle": "a"], "assigneeId": other.user]
            ).problem == "422 /assigneeId"
        )
        #expect(try await acme.api.post(ticket + "/assign", ["userId": other.user]).problem == "422 /userId")
        #expect(
            try await acme.api.post(ticket + "/messages", ["text": "a", "replyTo": Contract.unknownId]).problem
                == "422 /replyTo"
        )
        #expect(try await acme.tickets().count == 1)
        #expect(try await acme.api.get(tickets + "?channelId=\(theirs)").data.isEmpty)
    }
}
