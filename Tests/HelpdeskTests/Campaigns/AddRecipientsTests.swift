import Foundation
import Functions
import Postgres
import Testing

@Suite struct AddRecipientsTests {
    @Test func countsWhatIsThereAlreadyAndNamesWhatCanNotBeRead() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let id = try await world.campaign(jane, on: web)
            try await world.receive(web, .init(text: "STOP", phone: "+491500001"))

            let first = try await world.add(
                [
                    ["phone": "+49 1500-001", "name": "Kim"], ["phone": "00491500002"], ["phone": "+491500002"],
                    ["phone": "12"], ["handle": "Jo", "variables": ["city": "Berlin", "age": 7]], ["name": "Nobody"],
                    ["phone": 7], ["handle": "jO"], ["handle": "x", "foo": 1], 7,
                ],
                to: id,
                as: jane
            )
            let second = try await world.add([["phone": "+491500002"], ["phone": "+491500003"]], to: id, as: jane)

            #expect(first.status == 200)
            #expect(
                first.json == [
                    "added": 3, "duplicates": 2, "optedOut": 1,
                    "invalid": [
                        ["row": 4, "message": "phone must be a phone number: + and 7 to 15 digits"],
                        ["row": 6, "message": "needs a phone or a handle"],
                        ["row": 7, "message": "phone must be a string, not a number"],
                        ["row": 9, "message": "foo is not a known member"],
                        ["row": 10, "message": "must be an object, not a number"],
                    ],
                    "invalidCount": 5,
                ]
            )
            #expect(second.json == ["added": 1, "duplicates": 1, "optedOut": 0, "invalid": [], "invalidCount": 0])
            #expect(try await world.counts(id, as: jane) == ["pending": 3, "optedOut": 1])
            let recipients = try await world.recipients(id, as: jane)
            #expect(recipients.map { $0["phone"] } == ["+491500001", "+491500002", .null, "+491500003"])
            #expect(recipients[2]["variables"]?["city"] == "Berlin")
            #expect(
                try await world.column("SELECT count(*) FROM contacts WHERE org_id = \(jane.organisation)") == ["4"]
            )
            #expect(try await world.audited(jane.organisation).filter { $0 == "campaign.recipients" }.count == 2)
        }
    }

    @Test(arguments: [1, 3, 7, 1000])
    func readsCSVHoweverItIsCutUp(piece: Int) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane))
            let text =
                "\u{FEFF}Phone,name,city,\"fav, colour\"\r\n+491500001,\"Kim \"\"K\"\" Müller\",Köln,\r\n\r\n"
                + "+491500002,,\"two\nlines\",red\n+491500003,x\nnonsense,a,b,c\n\"+491500004\",\"a\"b,c,d\n+491500005,Zoë,,blue"

            let reply = try await world.upload(text, "text/csv; charset=utf-8", to: id, as: jane, piece: piece)

            #expect(reply["added"] == 3)
            #expect(
                reply["invalid"] == [
                    ["row": 3, "message": "has 2 fields, the header 4"],
                    ["row": 4, "message": "phone must be a phone number: + and 7 to 15 digits"],
                    ["row": 5, "message": "has text behind a closing quote"],
                ]
            )
            let recipients = try await world.recipients(id, as: jane)
            #expect(recipients.map { $0["name"] } == ["Kim \"K\" Müller", .null, "Zoë"])
            #expect(
                recipients.map { $0["variables"] } == [
                    ["city": "Köln"], ["city": "two\nlines", "fav, colour": "red"], ["fav, colour": "blue"],
                ]
            )
        }
    }

    @Test func readsLinesOfJSON() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane))
            let text =
                "{\"phone\":\"+491500001\",\"variables\":{\"city\":\"Köln\"}}\r\n\n{\"phone\":\nnull\n{\"handle\":\"jo\"}"

            let reply = try await world.upload(text, "application/x-ndjson", to: id, as: jane)

            #expect(reply["added"] == 2)
            #expect(reply["invalidCount"] == 2)
            #expect(reply["invalid.0.row"] == 2)
            #expect(try await world.recipients(id, as: jane).map { $0["handle"] } == [.null, "jo"])
        }
    }

    @Test func thePlannerKnowsOfALargeUploadBeforeAnybodyIsSentTo() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            _ = try await world.campaign(jane, on: try await world.mock(jane), recipients: 3000)

            #expect(
                try await world.column(
                    """
                    SELECT relname || ' ' || reltuples FROM pg_class
                     WHERE relname IN ('campaign_recipients', 'contacts', 'contact_identities') ORDER BY relname
                    """
                ) == ["campaign_recipients 3000", "contact_identities 3000", "contacts 3000"]
            )
        }
    }

    @Test func aCutConnectionLeavesNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane))

            let reply = try await world.upload(
                "phone\n+491500001\n+491500002\n",
                "text/csv",
                to: id,
                as: jane,
                cut: true
            )

            #expect(reply.status == 400)
            #expect(try await world.counts(id, as: jane) == [:])
            #expect(try await world.column("SELECT count(*) FROM contacts") == ["0"])
        }
    }

    @Test(arguments: [("", 400), ("name\nx", 422), ("phone,phone\n1,2", 422), ("\"phone", 422)])
    func refusesACSVThatTellsNoRecipient(text: String, status: Int) async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.campaign(jane, on: try await world.mock(jane))

            #expect(try await world.upload(text, "text/csv", to: id, as: jane).status == status)
        }
    }

    @Test func manyAtOnceMakeEachContactOnce() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let ids = try await [world.campaign(jane, on: web), world.campaign(jane, on: web)]

            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<6 {
                    group.addTask {
                        let rows = (1...40).map { "+4915000\($0 + 100)" }.joined(separator: "\n")
                        let reply = try await world.upload(
                            "phone\n" + rows,
                            "text/csv",
                            to: ids[index % 2],
                            as: jane,
                            piece: 100
                        )
                        #expect(reply.status == 200)
                    }
                }
                try await group.waitForAll()
            }

            for id in ids { #expect(try await world.counts(id, as: jane) == ["pending": 40]) }
            #expect(try await world.column("SELECT count(*) FROM contacts") == ["40"])
            #expect(try await world.column("SELECT count(*) FROM contact_identities") == ["40"])
        }
    }

    @Test func aRunningCampaignAndAnotherOrganisationsTakeNone() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let bob = try await world.admin("Other")
            let id = try await world.campaign(jane, on: try await world.mock(jane), recipients: 1)
            _ = try await world.act("start", id, as: jane)

            #expect(try await world.add([["phone": "+491500009"]], to: id, as: jane).status == 409)
            #expect(try await world.add([["phone": "+491500009"]], to: id, as: bob).status == 404)
            #expect(try await world.upload("phone\n+491500009", "text/csv", to: id, as: bob).status == 404)
        }
    }
}
