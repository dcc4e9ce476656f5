import Foundation
import Postgres
import TestSupport
import Testing

@Suite struct TicketsContractTests {
    static let members: Set = [
        "id", "orgId", "number", "subject", "status", "priority", "tags", "channelId", "contact", "assignee",
        "lastMessageAt",
        "firstResponseAt", "closedAt", "unreadCount", "window", "createdAt", "updatedAt",
    ]

    @Test func aNewTicketHasItsDefaultsAndTheNextNumber() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()

        let first = try await acme.ticket(on: channel)
        let second = try await acme.ticket(on: channel, ["message": ["text": "hi"], "assigneeId": acme.user])

        #expect(first.keys == Self.members)
        #expect(first.object["number"] as? Int == 1)
        #expect(first.string("status") == "open")
        #expect(first.string("priority") == "normal")
        #expect(first.object["unreadCount"] as? Int == 0)
        #expect(first.string("lastMessageAt") == first.string("createdAt"))
        for key in ["subject", "assignee", "firstResponseAt", "closedAt", "window"] {
            #expect(first.object[key] is NSNull)
        }
        #expect(second.object["number"] as? Int == 2)
        #expect(second.string("assignee.name") == "Ada")
        #expect(second.string("firstResponseAt") != nil)
        #expect(second.string("firstResponseAt") == second.string("lastMessageAt"))
    }

    @Test func aKnownPhoneMailOrHandleIsThatContact() async throws {
        let acme = try await Contract.admin()
        let (one, two) = (try await acme.channel(), try await acme.channel())
        func contact(_ members: [String: String], on channel: String) async throws -> String? {
            try await acme.ticket(on: channel, ["contact": members]).string("contact.id")
        }
        let jane = try await acme.ticket(
            on: one,
            ["contact": ["phone": "+49 (170) 123.45-67", "email": "Jane@Example.com", "handle": "jane"]]
        )
        let id = jane.string("contact.id")

        #expect(jane.string("contact.phone") == "+491701234567")
        #expect(try await contact(["phone": "0049 170 1234567"], on: two) == id)
        #expect(try await contact(["email": "jane@example.COM"], on: two) == id)
        #expect(try await contact(["handle": "jane"], on: one) == id)
        #expect(try await contact(["handle": "jane"], on: two) != id)
        let tickets = acme.path + "/tickets"
        #expect(try await acme.api.post(tickets, ["channelId": one]).problem == "422 /contactId")
        #expect(
            try await acme.api.post(tickets, ["channelId": one, "contactId": id ?? "", "contact": ["handle": "x"]])
                .problem
                == "422 /contact"
        )
        for phone in ["123", "+123456", "+1234567890123456", "+49abc1234567", "", "49170123456"] {
            #expect(
                try await acme.api.post(tickets, ["channelId": one, "contact": ["phone": phone]]).problem
                    == "422 /contact/phone",
                "\(phone)"
            )
        }
    }

    @Test func subjectAndTagsHaveTheirLimits() async throws {
        let acme = try await Contract.admin()
        let ticket = try await acme.ticketPath(on: acme.channel())
        let emoji = String(repeating: "😀", count: 50)
        let many = (1...21).map { "tag\($0)" }

        let largest = try await acme.api.put(
            ticket,
            ["subject": String(repeating: "😀", count: 300), "tags": [emoji] + many.prefix(19)]
        )

        #expect(largest.status == 200)
        #expect(
            try await acme.api.put(ticket, ["subject": String(repeating: "x", count: 301)]).problem == "422 /subject"
        )
        #expect(try await acme.api.put(ticket, ["tags": many]).problem == "422 /tags")
        #expect(try await acme.api.put(ticket, ["tags": [emoji + "x"]]).problem == "422 /tags/0")
        #expect(try await acme.api.put(ticket, ["tags": "x"]).problem == "422 /tags")
        #expect(
            try await acme.api.put(ticket, ["number": 1, "assigneeId": NSNull()]).problem == "422 /assigneeId /number"
        )
    }

    @Test func closingTwiceIsOneChangeAndLeavingClosedReopens() async throws {
        let acme = try await Contract.admin()
        let made = try await acme.ticket(on: acme.channel())
        let id = made.string("id") ?? ""
        let ticket = acme.path + "/tickets/" + id

        let closed = try await acme.api.put(ticket, ["status": "closed"])
        let again = try await acme.api.post(ticket + "/close")
        let reopened = try await acme.api.put(ticket, ["status": "pending"])

        #expect(closed.string("closedAt") != nil)
        #expect(again.string("closedAt") == closed.string("closedAt"))
        #expect(reopened.string("status") == "pending")
        #expect(reopened.object["closedAt"] is NSNull)
        #expect(try await acme.audited(id) == ["ticket.create", "ticket.close", "ticket.reopen"])
    }

    @Test func assigningTakesActiveMembersOnlyAndTheSameOneChangesNothing() async throws {
        let acme = try await Contract.admin()
        let (agent, gone) = (try await acme.agent(), try await acme.agent())
        let id = try await acme.ticket(on: acme.channel()).string("id") ?? ""
        let path = acme.path + "/tickets/\(id)/assign"
        let database = try await Contract.host().database
        _ = try await database.rows("UPDATE users SET status = 'deactivated' WHERE id = \(gone.user)::uuid")

        let assigned = try await acme.api.post(path, ["userId": agent.user])
        _ = try await acme.api.post(path, ["userId": agent.user])
        let unassigned = try await acme.api.post(path, ["userId": NSNull()])

        #expect(assigned.string("assignee.id") == agent.user)
        #expect(unassigned.object["assignee"] is NSNull)
        #expect(try await acme.api.post(path, ["userId": gone.user]).problem == "422 /userId")
        #expect(try await acme.audited(id) == ["ticket.create", "ticket.assign", "ticket.assign"])
    }

    @Test func everyFilterInEverySortFindsWhatItShould() async throws {
        let acme = try await Contract.admin()
        let agent = try await acme.agent()
        let channels = [try await acme.channel(), try await acme.channel()]
        let priorities = ["low", "normal", "high", "urgent"]
        for number in 0..<12 {
            var members: [String: Any] = [
                "priority": priorities[number % 4], "tags": [["a"], ["b"], ["a", "b"], []][number % 4],
                "subject": number % 3 == 0 ? "parcel number\(number)" : "other",
            ]
            if number % 5 == 0 { members["assigneeId"] = agent.user }
            if number % 5 == 1 { members["assigneeId"] = acme.user }
            if number % 4 == 1 { members["message"] = ["text": "needle in a haystack"] }
            let path = try await acme.ticketPath(on: channels[number % 2], members)
            if number % 6 == 0 { _ = try await acme.api.post(path + "/close") }
            if number % 6 == 1 { _ = try await acme.api.put(path, ["status": "pending"]) }
        }
        let list = acme.path + "/tickets"
        let all = try await acme.api.all(list)
        let middle = all[5]["createdAt"] as? String ?? ""
        func text(_ ticket: [String: Any], _ key: String) -> String { ticket[key] as? String ?? "" }
        func assignee(_ ticket: [String: Any]) -> String? { (ticket["assignee"] as? [String: Any])?["id"] as? String }
        func tags(_ ticket: [String: Any]) -> [String] { ticket["tags"] as? [String] ?? [] }
        let cases: [(query: [String: String], holds: ([String: Any]) -> Bool)] = [
            (["status": "closed"], { text($0, "status") == "closed" }),
            (["status": "open,pending"], { text($0, "status") != "closed" }),
            (["priority": "high,low"], { ["high", "low"].contains(text($0, "priority")) }),
            (["channelId": channels[0]], { text($0, "channelId") == channels[0] }),
            (["channelId": channels.joined(separator: ",")], { _ in true }),
            (["tag": "a"], { tags($0).contains("a") }),
            (["tag": "a,b"], { !tags($0).isEmpty }),
            (["tag": "A"], { _ in false }),
            (["assigneeId": agent.user.uppercased()], { assignee($0) == agent.user }),
            (["assigneeId": "me"], { assignee($0) == acme.user }),
            (["assigneeId": "none"], { assignee($0) == nil }),
            (["createdFrom": middle], { text($0, "createdAt") >= middle }),
            (["createdTo": middle], { text($0, "createdAt") < middle }),
            (["q": "PARCEL"], { text($0, "subject").hasPrefix("parcel") }),
            (["q": "number3 parcel"], { text($0, "subject").hasSuffix("number3") }),
            (["q": "haystack"], { $0["firstResponseAt"] is String }),
            (["q": "jane"], { _ in true }),
            (["q": "nowhere"], { _ in false }),
            (
                ["q": "parcel", "status": "open", "tag": "b"],
                {
                    text($0, "subject").hasPrefix("parcel") && text($0, "status") == "open" && tags($0).contains("b")
                }
            ),
        ]
        let keys: [(sort: String, key: ([String: Any]) -> String)] = [
            ("-lastMessageAt", { text($0, "lastMessageAt") }), ("lastMessageAt", { text($0, "lastMessageAt") }),
            ("-createdAt", { text($0, "createdAt") }), ("createdAt", { text($0, "createdAt") }),
            ("-priority", { String(priorities.firstIndex(of: text($0, "priority")) ?? 0) }),
        ]
        #expect(all.count == 12)

        for (query, holds) in cases {
            let wanted = Set(all.filter(holds).map { text($0, "id") })
            for (sort, key) in keys {
                let found = try await acme.api.all(list, query.merging(["sort": sort]) { $1 }, limit: 5)
                let places = found.map(key)
                #expect(Set(found.map { text($0, "id") }) == wanted, "\(query) \(sort)")
                #expect(found.count == wanted.count, "\(query) \(sort)")
                #expect(places == (sort.hasPrefix("-") ? places.sorted(by: >) : places.sorted()), "\(query) \(sort)")
            }
        }
    }

    @Test(arguments: [
        ("status", "open,x"), ("priority", "x"), ("channelId", "x"), ("assigneeId", "x"), ("contactId", "x"),
        ("createdFrom", "yesterday"), ("createdTo", "2026-02-30"), ("sort", "number"), ("limit", "0"), ("limit", "101"),
        ("limit", "1.5"), ("cursor", "x"),
    ])
    func refuses(_ parameter: String, _ value: String) async throws {
        let acme = try await Contract.bystander()

        #expect(try await acme.api.get(acme.path + "/tickets?\(parameter)=\(value)").problem == "422 \(parameter)")
    }

    @Test(arguments: ["'", "a & b |", "!(", "<->", "\\", "\"", "a:*", "%", "🙂", "   "])
    func takesAnySearch(_ words: String) async throws {
        let acme = try await Contract.bystander()

        #expect(try await acme.api.get(acme.path + "/tickets?" + APIClient.spelled(["q": words])).status == 200)
    }

    @Test func aBareDateIsADayOfTheOrganisationsZone() async throws {
        let acme = try await Contract.admin()
        _ = try await acme.ticket(on: acme.channel())
        _ = try await acme.api.patch(acme.path, ["timezone": "Pacific/Kiritimati"])
        let list = acme.path + "/tickets"
        // Kiritimati is 14 hours ahead all year.
        func day(_ offset: Double) -> String {
            Date(timeIntervalSinceNow: 14 * 3600 + offset * 86_400).ISO8601Format(.iso8601.year().month().day())
        }

        #expect(try await acme.api.all(list, ["createdFrom": day(0)]).count == 1)
        #expect(try await acme.api.all(list, ["createdTo": day(0)]).isEmpty)
        #expect(try await acme.api.all(list, ["createdFrom": day(1)]).isEmpty)
        #expect(try await acme.api.all(list, ["createdTo": day(1)]).count == 1)
    }

    @Test func aCursorIsGoodForItsListOnly() async throws {
        let acme = try await Contract.admin()
        let other = try await Contract.admin()
        let channel = try await acme.channel()
        for _ in 0..<3 { _ = try await acme.ticket(on: channel) }
        let list = "/tickets?limit=1&status=open"
        let cursor = try await acme.api.get(acme.path + list).string("nextCursor") ?? ""
        let suffix = "&cursor=" + cursor

        #expect(try await acme.api.get(acme.path + "/tickets?limit=2&status=open" + suffix).data.count == 2)
        #expect(try await acme.api.get(acme.path + "/tickets?limit=1" + suffix).problem == "422 cursor")
        #expect(try await acme.api.get(acme.path + list + "&sort=createdAt" + suffix).problem == "422 cursor")
        #expect(try await acme.api.get(acme.path + list + "&tag=a" + suffix).problem == "422 cursor")
        #expect(try await acme.api.get(acme.path + "/channels?limit=1" + suffix).problem == "422 cursor")
        #expect(try await acme.api.get(other.path + list + "&cursor=" + cursor, headers: [:]).problem == "403")
        #expect(try await other.api.get(other.path + list + suffix).problem == "422 cursor")
        #expect(try await acme.api.get(acme.path + list + suffix + "A").problem == "422 cursor")
    }
}
