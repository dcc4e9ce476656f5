import Foundation
import Functions
import Postgres
import TestSupport
import Testing

/// Running campaigns under people's hands, on the real executable.
@Suite struct CampaignControlTests {
    /// A campaign that runs on a simulated WhatsApp.
    private struct Stage {
        let host: RunningHost
        let simulation: Simulation
        let acme: Organisation
        let campaign: String

        init(recipients: Int, perSecond: Int) async throws {
            simulation = try Simulation("whatsapp")
            host = try await RunningHost(settings: simulation.settings)
            acme = try await Organisation.signUp(host.api)
            let channel = try await acme.api.post(
                acme.path + "/channels",
                ["type": "whatsapp", "name": "Simulated", "credentials": try await simulation.credentials()]
            )
            let id = channel.string("id") ?? ""
            try await simulation.start(to: "http://127.0.0.1:\(host.port)/webhook/\(id)")
            let template: [String: Any] = [
                "name": "order_update", "language": "en_US",
                "components": [["type": "body", "parameters": [["type": "text", "text": "{{name|you}}"]]]],
            ]
            campaign = try await CampaignControlTests.campaign(
                acme,
                on: id,
                ["message": ["template": template], "rateLimit": ["perSecond": perSecond]],
                recipients: recipients
            )
            _ = try await acme.api.post(campaign + "/start")
        }

        func stats() async throws -> [String: Int] {
            let stats = try await acme.api.get(campaign + "/stats").object.compactMapValues { $0 as? Int }
            let states = ["pending", "sent", "delivered", "read", "failed", "optedOut", "cancelled"]
            #expect(states.compactMap { stats[$0] }.reduce(0, +) == stats["total"])
            return stats
        }

        /// When the provider took each send.
        func sends() async throws -> [Date] {
            try await simulation.calls().filter { ($0["path"] as? String)?.hasSuffix("/messages") == true }
                .compactMap { ($0["at"] as? String).flatMap(RFC3339.parse) }
        }

        /// Waits until no send is on its way, and returns how many were begun.
        func rest() async throws -> Int {
            try await eventually {
                let row = try await host.database.rows(
                    """
                    SELECT count(*) FILTER (WHERE attempts > 0) AS begun,
                           count(*) FILTER (WHERE attempts > 0 AND status = 'pending') AS open
                      FROM campaign_recipients
                    """
                )[0]
                return try row.get("open", as: Int.self) == 0 ? try row.get("begun", as: Int.self) : nil
            }
        }
    }

    private static func campaign(
        _ organisation: Organisation,
        on channel: String,
        _ more: [String: Any] = [:],
        recipients: Int
    ) async throws -> String {
        let body: [String: Any] = ["name": "Sale", "channelId": channel, "message": ["text": "Hi"]]
        let made = try await organisation.api.post(organisation.path + "/campaigns", body.merging(more) { $1 })
        guard made.status == 201, let id = made.string("id") else { throw UnexpectedAnswer(made) }
        let path = organisation.path + "/campaigns/" + id
        let rows = (1...recipients).map { "+4915000\(10_000 + $0)" }.joined(separator: "\n")
        let added = try await organisation.api.send(
            "POST",
            path + "/recipients",
            body: Data(("phone\n" + rows).utf8),
            headers: ["Content-Type": "text/csv"]
        )
        guard added.object["added"] as? Int == recipients else { throw UnexpectedAnswer(added) }
        return path
    }

    @Test func noSendBeginsMoreThanTwoSecondsAfterAPauseAndResumingGoesOn() async throws {
        let stage = try await Stage(recipients: 400, perSecond: 60)
        _ = try await eventually(within: .seconds(60)) { try await stage.sends().count > 60 ? true : nil }

        let paused = try await stage.acme.api.post(stage.campaign + "/pause")
        let answered = Date()
        let begun = try await stage.rest()
        let sends = try await stage.sends()
        let stats = try await stage.stats()

        #expect(paused.status == 202 && paused.string("status") == "paused")
        #expect(sends.count == begun && begun < 400)
        #expect(sends.allSatisfy { $0 <= answered.addingTimeInterval(2) })
        #expect(stats["pending"] == 400 - begun)
        _ = try await stage.acme.api.post(stage.campaign + "/resume")
        _ = try await eventually(within: .seconds(60)) { try await stage.stats()["pending"] == 0 ? true : nil }
        #expect(try await stage.sends().count == 400)
        stage.host.stop()
    }

    @Test func noSendBeginsMoreThanTwoSecondsAfterACancelAndTheRestIsCancelled() async throws {
        let stage = try await Stage(recipients: 400, perSecond: 60)
        _ = try await eventually(within: .seconds(60)) { try await stage.sends().count > 60 ? true : nil }

        let cancelled = try await stage.acme.api.post(stage.campaign + "/cancel")
        let answered = Date()
        let begun = try await stage.rest()
        let stats = try await eventually(within: .seconds(60)) {
            let stats = try await stage.stats()
            return stats["pending"] == 0 ? stats : nil
        }
        let sends = try await stage.sends()

        #expect(cancelled.status == 202 && cancelled.string("status") == "cancelled")
        #expect(sends.count == begun && begun < 400)
        #expect(sends.allSatisfy { $0 <= answered.addingTimeInterval(2) })
        #expect(stats["cancelled"] == 400 - begun && stats["failed"] == 0)
        stage.host.stop()
    }

    @Test func campaignsKeepToTheirOwnPaceAndHoldNobodysReplyUp() async throws {
        let host = try await RunningHost()
        let slow = try await Organisation.signUp(host.api)
        let fast = try await Organisation.signUp(host.api)
        let third = try await Organisation.signUp(host.api)
        let desk = try await third.channel()
        let ticket = try await third.ticketPath(on: desk)
        let campaigns = try await [
            Self.campaign(slow, on: slow.channel(), ["rateLimit": ["perSecond": 20]], recipients: 200),
            Self.campaign(fast, on: fast.channel(), ["rateLimit": ["perSecond": 40]], recipients: 400),
        ]

        for (organisation, campaign) in zip([slow, fast], campaigns) {
            _ = try await organisation.api.post(campaign + "/start")
        }
        _ = try await third.api.post(ticket + "/messages", ["text": "Right away"])
        _ = try await eventually {
            try await third.api.get(ticket + "/messages").data.contains { $0["status"] as? String == "delivered" }
                ? true : nil
        }
        var pending: [Int] = []
        for (organisation, campaign) in zip([slow, fast], campaigns) {
            pending.append(try await organisation.api.get(campaign + "/stats").object["pending"] as? Int ?? 0)
        }
        for (organisation, campaign) in zip([slow, fast], campaigns) {
            _ = try await eventually(within: .seconds(90)) {
                try await organisation.api.get(campaign).string("status") == "completed" ? true : nil
            }
        }
        let rows = try await host.database.rows(
            """
            SELECT c.per_second, extract(epoch FROM max(r.attempted_at) - min(r.attempted_at))::float8 AS seconds,
                   count(*) FILTER (WHERE r.attempted_at <= e.first) AS together, count(*) AS total
              FROM campaign_recipients r
              JOIN campaigns c ON c.org_id = r.org_id AND c.id = r.campaign_id
             CROSS JOIN (
                       SELECT min(x.last) AS first
                         FROM (SELECT max(attempted_at) AS last FROM campaign_recipients GROUP BY campaign_id) x
                   ) e
             GROUP BY c.per_second ORDER BY c.per_second
            """
        )

        // The reply was there while both were at it.
        #expect(pending.allSatisfy { $0 > 0 }, "\(pending)")
        for row in rows {
            let (rate, total): (Int, Int) = (try row.get("per_second"), try row.get("total"))
            // A tenth of a second's worth begins together.
            let least = Double(total - max(1, rate / 10)) / Double(rate)
            #expect(try row.get("seconds", as: Double.self) > least * 0.97)
            // Neither waited for the other: when the first was through, the other was well on its way.
            #expect(try row.get("together", as: Int.self) > total / 2)
        }
        host.stop()
    }

    @Test(arguments: ["Content-Length: 100000\\r\\n\\r\\n", "Transfer-Encoding: chunked\\r\\n\\r\\n22\\r\\n"])
    func anUploadThatIsCutOffLeavesNothing(_ length: String) async throws {
        let host = try await Contract.host()
        let acme = try await Contract.admin()
        let campaign = try await Self.campaign(acme, on: acme.channel(), recipients: 1)
        let body = "phone\\n+49150000001\\n+49150000002\\n+4"

        let cut = try await Command.shell(
            """
            exec 3<>/dev/tcp/127.0.0.1/\(host.port)
            printf 'POST \(campaign)/recipients HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer \(acme.api.token ?? "")\\r\\n' >&3
            printf 'Content-Type: text/csv\\r\\n\(length)\(body)\\r\\n' >&3
            sleep 0.3
            exec 3>&-
            """
        )
        let stats = try await acme.api.get(campaign + "/stats")
        let after = try await acme.api.send(
            "POST",
            campaign + "/recipients",
            body: Data("phone\n+49150000001\n+49150000002\n".utf8),
            headers: ["Content-Type": "text/csv"]
        )

        #expect(cut.status == 0, "\(cut.errors)")
        #expect(stats.object["total"] as? Int == 1)
        #expect(after.object["added"] as? Int == 2 && after.object["duplicates"] as? Int == 0)
        #expect(try await acme.api.get(campaign).object["recipientCount"] as? Int == 3)
        #expect(try await acme.api.get(acme.path + "/contacts").data.count == 3)
        #expect(try await acme.audited(campaign.split(separator: "/").last.map(String.init) ?? "").count == 3)
    }

    @Test func watchingTellsEachSecondAndEndsWithTheCampaign() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let campaign = try await Self.campaign(
            acme,
            on: acme.channel(),
            ["rateLimit": ["perSecond": 30]],
            recipients: 60
        )
        let id = campaign.split(separator: "/").last.map(String.init) ?? ""
        func watch(_ id: String, as email: String) async throws -> Command {
            try await Command.shell(
                """
                DATABASE_URL='\(host.database.applicationURL)' REDIS_URL='\(host.redisURL)' PUBLIC_URL=http://localhost \
                JWT_SECRET='a secret of the tests, long enough for HS256' \
                ENCRYPTION_KEY=\(String(repeating: "0123456789abcdef", count: 4)) \
                '\(Checkout.executable)' campaigns watch \(id) --as \(email) -f '\(Checkout.root)/functions.yaml'
                """
            )
        }
        _ = try await acme.api.post(campaign + "/start")

        let completed = try await watch(id, as: acme.email)
        let other = try await Self.campaign(acme, on: acme.channel(), recipients: 1)
        _ = try await acme.api.post(other + "/cancel")
        let cancelled = try await watch(other.split(separator: "/").last.map(String.init) ?? "", as: acme.email)
        let unknown = try await watch(Contract.unknownId, as: acme.email)
        let nobody = try await watch(id, as: "nobody@example.com")

        let lines = completed.output.split(separator: "\n")
        #expect(completed.status == 0, "\(completed.errors)")
        #expect(lines.count > 1 && lines.allSatisfy { $0.hasPrefix("Sale  ") && $0.contains(" of 60") })
        #expect(lines.last?.contains("100 % · 60 of 60 · completed") == true)
        #expect(!completed.output.contains("\u{1B}") && !completed.output.contains("\r"))
        #expect(cancelled.status == 1 && cancelled.output.contains("1 of 1 · cancelled"))
        #expect(unknown.status == 64 && unknown.errors.contains("no such campaign"))
        #expect(nobody.status == 64 && nobody.errors.contains("nobody@example.com"))
        host.stop()
    }
}
