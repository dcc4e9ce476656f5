import Foundation
import Functions
import Postgres
import Testing

@Suite struct UpdateContactTests {
    @Test func changesWhatIsGivenAndTellsNoValuesOfIt() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            _ = try await world.ticket(jane, on: web, [.init("contact", ["phone": "+4915550001", "name": "Kim"])])
            let kim = try await world.contact("kim", of: jane)
            func update(_ body: JSON) async throws -> World.Reply {
                try await world.call("update-contact", as: jane, path: ["contactId": kim], body: body)
            }

            let first = try await update(["name": "Kim Lee", "email": "Kim@Example.com", "optedOut": true])
            let same = try await update(["name": "Kim Lee", "email": "Kim@Example.com", "optedOut": true])
            let cleared = try await update(["name": nil])

            #expect([first, same, cleared].map(\.status) == [200, 200, 200])
            #expect(first["name"] == "Kim Lee" && first["email"] == "Kim@Example.com" && first["optedOut"] == true)
            #expect(
                first["identities"] == [
                    ["channelId": nil, "externalId": "+4915550001"],
                    ["channelId": nil, "externalId": "kim@example.com"],
                ]
            )
            #expect(cleared["name"] == .null && cleared["email"] == "Kim@Example.com")
            let changes = try await world.column(
                "SELECT changes::text FROM audit WHERE action = 'contact.update' ORDER BY created_at"
            )
            #expect(changes.count == 2)
            #expect(try JSON.parse(changes[0] ?? "").members?.map(\.name).sorted() == ["email", "name", "optedOut"])
            #expect(changes.allSatisfy { $0?.lowercased().contains("kim") == false })
        }
    }

    @Test func anAddressIsWhatTheContactIsFoundBy() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            _ = try await world.ticket(jane, on: web, [.init("contact", ["handle": "kim", "name": "Kim"])])
            _ = try await world.ticket(jane, on: web, [.init("contact", ["email": "zoe@example.com", "name": "Zoe"])])
            let kim = try await world.contact("kim", of: jane)
            func update(_ email: JSON) async throws -> Int {
                try await world.call("update-contact", as: jane, path: ["contactId": kim], body: ["email": email])
                    .status
            }

            let statuses = [
                try await update("ZOE@example.com"), try await update("kim@example.com"),
                try await update("k@example.com"),
            ]
            _ = try await world.ticket(jane, on: web, [.init("contact", ["email": "K@EXAMPLE.COM"])])
            _ = try await world.ticket(jane, on: web, [.init("contact", ["email": "kim@example.com", "name": "New"])])

            #expect(statuses == [409, 200, 200])
            #expect(
                try await world.call("list-contact-tickets", as: jane, path: ["contactId": kim])["data"]?.array?.count
                    == 2
            )
            #expect(try await world.column("SELECT count(*) FROM contacts") == ["3"])
        }
    }

    @Test func anEarlierStopThatIsStoredLaterChangesNothing() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "Hello", name: "Kim"))
            let earlier = Int64(Date().timeIntervalSince1970 * 1_000_000) - 5_000_000
            let kim = try await world.contact("kim", of: jane)
            func update(_ optedOut: Bool) async throws {
                _ = try await world.call(
                    "update-contact",
                    as: jane,
                    path: ["contactId": kim],
                    body: ["optedOut": .bool(optedOut)]
                )
            }
            try await update(true)
            try await update(false)

            try await world.receive(web, .init(text: "STOP"), acceptedAt: earlier)

            #expect(try await world.showContact(kim, as: jane)["optedOut"] == false)
        }
    }

    @Test func aCampaignKeepsWhomItIsForWhenTheirAddressOrNumberChanges() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let web = try await world.mock(jane)
            let campaign = try await world.campaign(jane, on: web)
            _ = try await world.add([["phone": "+4915550001", "name": "Kim"]], to: campaign, as: jane)
            let kim = try await world.column("SELECT id::text FROM contacts")[0] ?? "-"

            for email: JSON in ["kim@example.com", "kim@example.org", .null] {
                let path = ["contactId": kim]
                _ = try await world.call("update-contact", as: jane, path: path, body: ["email": email])
            }
            let moved: JSON = [
                "channelId": .string(web), "kind": "identity", "person": ["phone": "+4915550001"],
                "successor": ["phone": "+4915550009"],
            ]
            _ = try await world.work("apply-change", [moved])

            #expect(try await world.column("SELECT phone FROM contacts") == ["+4915550009"])
            #expect(
                try await world.column("SELECT concat_ws(' ', name, phone, status) FROM campaign_recipients")
                    == ["Kim +4915550001 pending"]
            )
        }
    }
}
