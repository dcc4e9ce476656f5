import Functions
import Testing

@Suite struct GetContactTests {
    @Test func showsByWhatTheContactIsKnown() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let other = try await world.admin("Other")
            let web = try await world.mock(jane)
            try await world.receive(web, .init(text: "Hello", handle: "Kim.Lee", name: "Kim"))
            let kim = try await world.contact("kim", of: jane)

            let reply = try await world.showContact(kim, as: jane)

            #expect(reply["name"] == "Kim" && reply["phone"] == "+4915550001" && reply["handle"] == "Kim.Lee")
            #expect(reply["email"] == .null && reply["optedOut"] == false)
            let identities = reply["identities"]?.array ?? []
            #expect(identities.contains(["channelId": nil, "externalId": "+4915550001"]))
            #expect(identities.contains(["channelId": .string(web), "externalId": "kim.lee"]))
            #expect(identities.count == 2)
            #expect(try await world.showContact(kim, as: other).status == 404)
        }
    }
}
