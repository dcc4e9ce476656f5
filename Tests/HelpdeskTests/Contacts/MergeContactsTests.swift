import Foundation
import Functions
import Postgres
import Testing

@Suite struct MergeContactsTests {
    @Test func takesCampaignsRecipientsAlong() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "a", phone: "+4915550001", name: "Kim"))
            try await world.receive(web, .init(text: "b", phone: "+4915550002", name: "Lee"))
            let (kim, lee) = (try await world.contact("kim", of: jane), try await world.contact("lee", of: jane))
            let campaign = try await world.campaign(jane, on: web)
            _ = try await world.add([["phone": "+4915550001"], ["phone": "+4915550002"]], to: campaign, as: jane)

            let reply = try await world.merge(lee, into: kim, as: jane)

            #expect(reply.status == 200)
            #expect(
                try await world.column("SELECT contact_id::text || phone FROM campaign_recipients ORDER BY phone")
                    == [kim + "+4915550001", kim + "+4915550002"]
            )
        }
    }

    @Test func whatWasOnesIsTheOthers() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let shop = try await world.mock(jane)
            try await world.receive(web, .init(text: "a", phone: "+4915550001", name: "Kim"))
            try await world.receive(web, .init(text: "b", phone: nil, handle: "lee", name: "Lee"))
            try await world.receive(shop, .init(text: "c", phone: nil, handle: "shopper"))
            let (kim, lee) = (try await world.contact("kim", of: jane), try await world.contact("lee", of: jane))
            let shopper = try await world.contact("shopper", of: jane)

            let reply = try await world.merge(lee, into: kim, as: jane)
            _ = try await world.merge(shopper, into: kim, as: jane)
            try await world.receive(web, .init(text: "d", phone: nil, handle: "LEE"), .init(text: "e"))
            try await world.receive(shop, .init(text: "f", phone: nil, handle: "shopper"))

            #expect(reply.status == 200)
            #expect(reply.text("id") == kim)
            #expect(reply["name"] == "Kim" && reply["phone"] == "+4915550001" && reply["handle"] == "lee")
            #expect(try await world.showContact(lee, as: jane).status == 404)
            #expect(try await world.merge(lee, into: kim, as: jane).status == 404)
            #expect(try await world.column("SELECT count(*) FROM contacts WHERE gone_at IS NULL") == ["1"])
            #expect(
                try await world.column("SELECT DISTINCT contact_id::text || author_id::text FROM messages")
                    == [kim + kim]
            )
            // Kim's and Lee's tickets on one channel stay two; what comes in goes to the newer one.
            let tickets = try await world.call("list-contact-tickets", as: jane, path: ["contactId": kim])
            #expect(tickets["data"]?.array?.count == 3)
            #expect(
                try await world.column(
                    """
                    SELECT string_agg(m.text, '' ORDER BY m.accepted_at) FROM messages m JOIN tickets t ON t.id = m.ticket_id
                     GROUP BY t.number ORDER BY t.number
                    """
                ) == ["a", "bde", "cf"]
            )
            #expect(
                try await world.column(
                    "SELECT entity_id::text || (changes #>> '{contactId,from}') FROM audit WHERE action = 'contact.merge' ORDER BY created_at"
                ) == [kim + lee, kim + shopper]
            )
        }
    }

    @Test func refusesItselfAndOthersContacts() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let eve = try await world.admin("Other")
            for caller in [jane, eve] {
                _ = try await world.ticket(
                    caller,
                    on: try await world.mock(caller),
                    [.init("contact", ["handle": "kim"])]
                )
            }
            let (ours, theirs) = (try await world.contact("kim", of: jane), try await world.contact("kim", of: eve))
            let nobody = UUID().uuidString.lowercased()

            let itself = try await world.merge(ours, into: ours, as: jane)
            let intoTheirs = try await world.merge(ours, into: theirs, as: jane)
            let intoNobody = try await world.merge(ours, into: nobody, as: jane)
            let fromTheirs = try await world.merge(theirs, into: ours, as: jane)

            #expect(itself.faults == ["/intoId is the contact itself"])
            #expect(intoTheirs.faults == ["/intoId is not a contact of this organisation"])
            #expect(intoNobody == intoTheirs)
            #expect(fromTheirs.status == 404)
            #expect(try await world.column("SELECT count(*) FROM contacts WHERE gone_at IS NULL") == ["2"])
            #expect(try await world.column("SELECT count(*) FROM audit WHERE action = 'contact.merge'") == ["0"])
        }
    }

    @Test func theNewerDecisionAboutCampaignsHolds() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let start = Int64(Date().timeIntervalSince1970 * 1_000_000)
            try await world.receive(web, .init(text: "STOP", phone: nil, handle: "one"), acceptedAt: start)
            try await world.receive(web, .init(text: "START", phone: nil, handle: "two"), acceptedAt: start + 10)
            try await world.receive(web, .init(text: "STOP", phone: nil, handle: "three"), acceptedAt: start + 20)
            let ids = [
                try await world.contact("one", of: jane), try await world.contact("two", of: jane),
                try await world.contact("three", of: jane),
            ]

            let first = try await world.merge(ids[0], into: ids[1], as: jane)
            let second = try await world.merge(ids[2], into: ids[1], as: jane)

            #expect(first["optedOut"] == false)
            #expect(second["optedOut"] == true)
        }
    }

    @Test func messagesThatComeInMeanwhileAreNeitherLostNorDoubled() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let shop = try await world.mock(jane)
            let rounds = 8
            for round in 0..<rounds {
                let (one, two) = ("one\(round)", "two\(round)")
                try await world.receive(
                    web,
                    .init(text: "0", phone: nil, handle: one),
                    .init(text: "0", phone: nil, handle: two)
                )
                let (source, target) = (try await world.contact(one, of: jane), try await world.contact(two, of: jane))

                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        let status = try await world.merge(source, into: target, as: jane).status
                        #expect(status == 200)
                    }
                    for number in 1...4 {
                        group.addTask {
                            // On a channel where the contact is known, and on one where it is found by nothing yet.
                            let outcomes = try await world.receive(
                                number.isMultiple(of: 2) ? web : shop,
                                .init(text: "\(number)", phone: nil, handle: one),
                                .init(text: "\(number)", phone: nil, handle: two)
                            )
                            #expect(outcomes == [.done(), .done()])
                        }
                    }
                    try await group.waitForAll()
                }
            }

            #expect(try await world.column("SELECT count(*) FROM messages") == ["\(rounds * 10)"])
            #expect(
                try await world.column(
                    """
                    SELECT count(*) FROM messages m JOIN contacts c ON c.id = m.contact_id WHERE c.gone_at IS NOT NULL
                    """
                ) == ["0"]
            )
            #expect(
                try await world.column(
                    "SELECT count(*) FROM contact_identities i JOIN contacts c ON c.id = i.contact_id WHERE c.gone_at IS NOT NULL"
                ) == ["0"]
            )
            // The person's conversation on the first channel leads to their newest ticket.
            #expect(
                try await world.column(
                    """
                    SELECT count(*) FROM conversations v JOIN contacts c ON c.id = v.contact_id AND c.gone_at IS NULL
                      JOIN tickets t ON t.id = v.ticket_id
                     WHERE t.number < (SELECT max(x.number) FROM tickets x
                                        WHERE x.contact_id = v.contact_id AND x.channel_id = v.channel_id)
                    """
                ) == ["0"]
            )
        }
    }

    @Test func ofTwoMergesCrosswiseOneHolds() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(
                web,
                .init(text: "a", phone: nil, handle: "one"),
                .init(text: "b", phone: nil, handle: "two")
            )
            let (one, two) = (try await world.contact("one", of: jane), try await world.contact("two", of: jane))

            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask { try await world.merge(one, into: two, as: jane).status }
                group.addTask { try await world.merge(two, into: one, as: jane).status }
                return try await group.reduce(into: []) { $0.append($1) }.sorted()
            }

            #expect(statuses == [200, 404] || statuses == [200, 422])
            #expect(try await world.column("SELECT count(*) FROM contacts WHERE gone_at IS NULL") == ["1"])
            #expect(try await world.column("SELECT count(DISTINCT contact_id) FROM messages") == ["1"])
        }
    }
}
