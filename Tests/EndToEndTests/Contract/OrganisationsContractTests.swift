import Foundation
import TestSupport
import Testing

@Suite struct OrganisationsContractTests {
    @Test func settingsAreMergedKeyByKeyAndNullGoesBackToTheDefault() async throws {
        let acme = try await Contract.admin()
        let fresh = try await acme.api.get(acme.path).object["settings"] as? [String: Any] ?? [:]

        _ = try await acme.api.patch(acme.path, ["settings": ["reopenWithinHours": 0, "assignment": "round_robin"]])
        let hours = ["quietHours": ["from": "21:00", "to": "08:00"], "campaignCap": ["messages": 3, "days": 7]]
        let merged = try await acme.api.patch(acme.path, ["settings": hours])
        let cleared = try await acme.api.patch(
            acme.path,
            ["settings": ["quietHours": NSNull(), "assignment": NSNull()]]
        )

        #expect(fresh["reopenWithinHours"] as? Int == 24)
        #expect(fresh["assignment"] as? String == "manual")
        #expect(fresh["quietHours"] is NSNull && fresh["campaignCap"] is NSNull)
        #expect(merged.string("settings.assignment") == "round_robin")
        #expect(merged.string("settings.quietHours.to") == "08:00")
        let settings = cleared.object["settings"] as? [String: Any] ?? [:]
        #expect(settings["quietHours"] is NSNull)
        #expect(settings["assignment"] as? String == "manual")
        #expect(settings["campaignCap"] as? [String: Int] == ["messages": 3, "days": 7])
        #expect(settings["reopenWithinHours"] as? Int == 0)
    }

    @Test(arguments: [
        (#"{"name": null}"#, "/name"), (#"{"name": " "}"#, "/name"), (#"{"slug": "x"}"#, "/slug"),
        (#"{"timezone": "Mars/Base"}"#, "/timezone"), (#"{"timezone": "Europe/../Europe/Berlin"}"#, "/timezone"),
        (#"{"timezone": "../../etc/passwd"}"#, "/timezone"), (#"{"timezone": "GMT+3"}"#, "/timezone"),
        (#"{"timezone": "localtime"}"#, "/timezone"), (#"{"timezone": null}"#, "/timezone"),
        (#"{"settings": []}"#, "/settings"), (#"{"settings": {"foo": 1}}"#, "/settings/foo"),
        (#"{"settings": {"reopenWithinHours": 721}}"#, "/settings/reopenWithinHours"),
        (#"{"settings": {"reopenWithinHours": -1}}"#, "/settings/reopenWithinHours"),
        (#"{"settings": {"reopenWithinHours": 1.5}}"#, "/settings/reopenWithinHours"),
        (#"{"settings": {"reopenWithinHours": "1"}}"#, "/settings/reopenWithinHours"),
        (#"{"settings": {"assignment": "x"}}"#, "/settings/assignment"),
        (#"{"settings": {"quietHours": {"from": "25:00", "to": "08:00"}}}"#, "/settings/quietHours/from"),
        (#"{"settings": {"quietHours": {"from": "08:00", "to": "08:00"}}}"#, "/settings/quietHours/to"),
        (#"{"settings": {"quietHours": {"from": "10:00"}}}"#, "/settings/quietHours/to"),
        (#"{"settings": {"campaignCap": {"messages": 0, "days": 7}}}"#, "/settings/campaignCap/messages"),
    ])
    func refuses(_ body: String, at pointer: String) async throws {
        let acme = try await Contract.bystander()

        #expect(try await acme.api.send("PATCH", acme.path, bytes: body).problem == "422 " + pointer)
    }

    @Test(arguments: ["GMT", "CET", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+3"])
    func takesEveryKindOfZone(_ name: String) async throws {
        let acme = try await Contract.admin()

        let changed = try await acme.api.patch(acme.path, ["timezone": name])

        #expect(changed.string("timezone") == name)
    }

    @Test func whatChangesNothingWritesNothing() async throws {
        let acme = try await Contract.admin()

        let changed = try await acme.api.patch(acme.path, ["timezone": "Asia/Kathmandu"])
        let same = try await acme.api.patch(acme.path, ["timezone": "Asia/Kathmandu"])

        #expect(changed.string("timezone") == "Asia/Kathmandu")
        #expect(same.string("updatedAt") == changed.string("updatedAt"))
        #expect(try await acme.audited(acme.id) == ["org.update"])
    }
}
