import Foundation
import Functions
import Postgres
import Testing

@Suite struct CreateChannelTests {
    @Test func connectsAMockChannel() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await world.call(
                "create-channel",
                as: jane,
                body: ["type": "mock", "name": "Web", "settings": ["outcome": ["retry": 2]]]
            )

            #expect(reply.status == 201)
            #expect(reply["status"] == "active")
            #expect(reply["credentials"] == [:])
            #expect(reply["settings"] == ["outcome": ["retry": 2]])
            #expect(reply.text("webhookUrl") == "https://help.example/webhook/\(reply.text("id"))")
            let found = try await world.call("get-channel", as: jane, path: ["channelId": reply.text("id")])
            #expect(found.json == reply.json)
            #expect(try await world.audited(jane.organisation) == ["auth.signup", "channel.create"])
        }
    }

    @Test func sealsSecretsAndMasksThem() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let reply = try await world.call("create-channel", as: jane, body: .whatsApp)

            #expect(reply.status == 201)
            #expect(reply["credentials.accessToken"] == "••••cdef")
            #expect(reply["credentials.verifyToken"] == "••••")
            #expect(reply["credentials.phoneNumberId"] == "106540352242922")
            let stored = try await world.column("SELECT encode(credentials, 'escape') FROM channels")
            #expect(stored.count == 1)
            #expect(stored[0]?.contains("abcdef") == false)
            let audit = try await world.column("SELECT changes::text FROM audit WHERE action LIKE 'channel.%'")
            #expect(audit[0]?.contains("abcdef") == false)
        }
    }

    @Test func namesEachCredentialThatIsMissingOrUnknown() async throws {
        try await World.with { world in
            let jane = try await world.admin()

            let missing = try await world.call("create-channel", as: jane, body: ["type": "facebook", "name": "Page"])
            let unknown = try await world.call(
                "create-channel",
                as: jane,
                body: ["type": "mock", "name": "Web", "credentials": ["token": "x"], "settings": ["outcome": "maybe"]]
            )

            #expect(
                missing.faults == [
                    "/credentials/pageAccessToken is required", "/credentials/appSecret is required",
                    "/credentials/verifyToken is required", "/credentials/pageId is required",
                ]
            )
            #expect(
                unknown.faults == [
                    "/credentials/token is not a known member",
                    #"/settings/outcome must be "ok", "recipient", "channel" or {"retry": n}"#,
                ]
            )
        }
    }
}
