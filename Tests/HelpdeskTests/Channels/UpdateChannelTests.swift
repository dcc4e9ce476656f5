import Foundation
import Functions
import Postgres
import Testing

@Suite struct UpdateChannelTests {
    @Test func mergesCredentialsKeyByKey() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.call("create-channel", as: jane, body: .whatsApp).text("id")

            let reply = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": id],
                body: ["credentials": ["appSecret": "another secret 1234", "phoneNumberId": "42"]]
            )

            #expect(reply.status == 200)
            #expect(reply["credentials.appSecret"] == "••••1234")
            #expect(reply["credentials.phoneNumberId"] == "42")
            #expect(reply["credentials.accessToken"] == "••••cdef")
            let changes = try await world.column("SELECT changes::text FROM audit WHERE action = 'channel.update'")
            let recorded = try JSON.parse(Array((changes[0] ?? "").utf8))
            #expect(recorded["credentials.appSecret"]?["to"] == "••••")
            #expect(recorded["credentials.phoneNumberId"]?["from"] == "106540352242922")
            #expect(recorded.members?.count == 2)
        }
    }

    @Test func writesNothingWhereNothingChanges() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let created = try await world.call("create-channel", as: jane, body: .whatsApp)

            let reply = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": created.text("id")],
                body: [
                    "name": "Phone", "type": "whatsapp", "status": "active",
                    "credentials": ["accessToken": "0123456789abcdef"],
                ]
            )

            #expect(reply.json == created.json)
            #expect(try await world.audited(jane.organisation) == ["auth.signup", "channel.create"])
        }
    }

    @Test func refusesAnotherTypeAndTheLossOfANeededCredential() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.call("create-channel", as: jane, body: .whatsApp).text("id")

            let reply = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": id],
                body: ["type": "mock", "credentials": ["appSecret": nil, "nonsense": "x"]]
            )

            #expect(
                reply.faults == [
                    "/type can't be changed; this channel is whatsapp", "/credentials/nonsense is not a known member",
                    "/credentials/appSecret can't be null",
                ]
            )
        }
    }

    @Test func failsWhatIsQueuedOnADisabledChannel() async throws {
        try await World.with { world in
            let jane = try await world.admin()
            let id = try await world.call("create-channel", as: jane, body: .mock).text("id")
            try await world.queueMessage(on: id, of: jane)

            let reply = try await world.call(
                "update-channel",
                as: jane,
                path: ["channelId": id],
                body: ["status": "disabled"]
            )

            #expect(reply["status"] == "disabled")
            #expect(
                try await world.column("SELECT status || ' ' || error_code FROM messages") == ["failed channel_gone"]
            )
            let events = try await world.column(
                "SELECT type || ' ' || (payload->>'status') FROM events WHERE ticket_id IS NOT NULL"
            )
            #expect(events == ["message.updated failed"])
        }
    }
}
