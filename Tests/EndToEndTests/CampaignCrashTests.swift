import Foundation
import Postgres
import TestSupport
import Testing

/// What a host that is killed amid a campaign leaves, another goes on with.
@Suite struct CampaignCrashTests {
    @Test func aKilledHostsCampaignReachesEverybodyOnce() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let path = "/orgs/\(acme.id)/campaigns"
        let made = try await acme.api.post(
            path,
            [
                "name": "Sale", "channelId": try await acme.channel(), "message": ["text": "Hi"],
                "rateLimit": ["perSecond": 150],
            ]
        )
        let campaign = path + "/" + (made.string("id") ?? "")
        let rows = (1...600).map { "+4915000\(10_000 + $0)" }.joined(separator: "\n")
        _ = try await acme.api.send(
            "POST",
            campaign + "/recipients",
            body: Data(("phone\n" + rows).utf8),
            headers: ["Content-Type": "text/csv"]
        )
        func delivered() async throws -> Int {
            let stats = try await acme.api.get(campaign + "/stats")
            let states = ["pending", "sent", "delivered", "read", "failed", "optedOut", "cancelled"]
            #expect(states.compactMap { stats.object[$0] as? Int }.reduce(0, +) == 600)
            return stats.object["delivered"] as? Int ?? 0
        }

        _ = try await acme.api.post(campaign + "/start", [:])
        for share in [100, 300] {
            _ = try await eventually { try await delivered() >= share ? true : nil }
            host.kill()
            // Nobody waits a minute for the leases of the dead.
            try await host.database.script("UPDATE campaign_batches SET due_at = now() WHERE token IS NOT NULL")
            try await host.start()
        }
        _ = try await eventually(within: .seconds(60)) { try await delivered() == 600 ? true : nil }

        let rowsOf = try await host.database.rows(
            """
            SELECT (SELECT count(*) FROM messages) AS messages,
                   (SELECT count(DISTINCT contact_id) FROM messages) AS contacts
            """
        )
        #expect(try rowsOf[0].get("messages", as: Int.self) == 600)
        #expect(try rowsOf[0].get("contacts", as: Int.self) == 600)
        _ = try await eventually { try await acme.api.get(campaign).string("status") == "completed" ? true : nil }
        host.stop()
    }
}
