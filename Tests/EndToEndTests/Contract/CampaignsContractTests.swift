import Foundation
import TestSupport
import Testing

@Suite struct CampaignsContractTests {
    private static let csv = ["Content-Type": "text/csv"]

    private func draft(_ acme: Organisation, _ more: [String: Any] = [:]) async throws -> String {
        let body: [String: Any] = [
            "name": "Sale", "channelId": try await acme.channel(), "message": ["text": "Hi {{name|you}}"],
        ]
        let answer = try await acme.api.post(acme.path + "/campaigns", body.merging(more) { $1 })
        guard answer.status == 201, let id = answer.string("id") else { throw UnexpectedAnswer(answer) }
        return acme.path + "/campaigns/" + id
    }

    @Test func aCampaignGoesFromDraftToCompleted() async throws {
        let acme = try await Contract.admin()
        let campaign = try await draft(acme, ["rateLimit": ["perSecond": 100]])
        let rows = "phone,name,city\n" + (1...30).map { "+49150000\(1000 + $0),Kim \($0),Köln" }.joined(separator: "\n")

        let added = try await acme.api.send(
            "POST",
            campaign + "/recipients",
            bytes: rows + "\nx,y,z\n",
            headers: Self.csv
        )
        let rehearsal = try await acme.api.post(campaign + "/rehearse", [:])
        let started = try await acme.api.post(campaign + "/start", [:])
        let stats = try await eventually {
            let stats = try await acme.api.get(campaign + "/stats")
            let states = ["pending", "sent", "delivered", "read", "failed", "optedOut", "cancelled"]
            #expect(states.compactMap { stats.object[$0] as? Int }.reduce(0, +) == 30)
            return stats.string("completedAt") == nil ? nil : stats
        }

        #expect(added.status == 200)
        #expect(added.object["added"] as? Int == 30 && added.object["invalidCount"] as? Int == 1)
        #expect(rehearsal.object["recipients"] as? Int == 30)
        #expect(started.status == 202 && started.string("status") == "running")
        #expect(stats.object["delivered"] as? Int == 30 && stats.object["etaSeconds"] as? Int == 0)
        #expect(
            stats.keys == [
                "total", "pending", "sent", "delivered", "read", "failed", "optedOut", "cancelled",
                "failuresByCode", "ratePerSecond", "startedAt", "completedAt", "etaSeconds",
            ]
        )
        let recipients = try await acme.api.all(campaign + "/recipients", ["status": "delivered"], limit: 7)
        #expect(recipients.count == 30)
        #expect(recipients.compactMap { $0["name"] as? String } == (1...30).map { "Kim \($0)" })
        let csv = try await acme.api.get(campaign + "/results.csv")
        #expect(csv.headers["content-type"]?.hasPrefix("text/csv") == true)
        #expect(csv.text.components(separatedBy: "\r\n").count == 32)
        #expect(try await acme.api.get(acme.path + "/campaigns?status=completed").data.count == 1)
    }

    @Test func aStreamedUploadIsReplayedUnderItsKey() async throws {
        let acme = try await Contract.admin()
        let recipients = try await draft(acme) + "/recipients"
        let key = Self.csv.merging(["Idempotency-Key": "upload-1"]) { $1 }

        let first = try await acme.api.send("POST", recipients, bytes: "phone\n+4915000001", headers: key)
        let again = try await acme.api.send("POST", recipients, bytes: "phone\n+4915000001", headers: key)
        let other = try await acme.api.send("POST", recipients, bytes: "phone\n+4915000002", headers: key)

        #expect(first.object["added"] as? Int == 1)
        #expect(again.body == first.body && again.headers["idempotency-replayed"] == "true")
        #expect(other.status == 422)
    }

    @Test func bodiesAreRefusedByTypeAndSize() async throws {
        let acme = try await Contract.admin()
        let recipients = try await draft(acme) + "/recipients"
        func post(_ text: String, _ type: String) async throws -> String {
            try await acme.api.send("POST", recipients, bytes: text, headers: ["Content-Type": type]).problem
        }

        #expect(try await post("phone", "text/plain") == "415")
        #expect(try await post("", "text/csv") == "400")
        #expect(try await post("{", "application/json") == "400")
        #expect(try await post("{}", "application/json") == "422 /recipients")
        #expect(try await post(#"{"recipients": []}"#, "application/json") == "422 /recipients")
        #expect(try await post("name\nx", "text/csv") == "422 ")
        let unknown = acme.path + "/campaigns/\(Contract.unknownId)/recipients"
        #expect(try await acme.api.send("POST", unknown, bytes: "x", headers: Self.csv).problem == "404")
    }

    @Test(arguments: [
        (#"{"name": "x", "channelId": "\#(Contract.unknownId)", "message": {"text": "x"}}"#, "422 /channelId"),
        (
            #"{"name": "", "message": {}, "rateLimit": {"perSecond": 0}}"#,
            "422 /channelId /message/text /name /rateLimit/perSecond"
        ),
        (
            #"{"name": "x", "channelId": "\#(Contract.unknownId)", "message": {"text": "x", "template": {"name": "n", "language": "en"}}}"#,
            "422 /message/template"
        ),
    ])
    func aCampaignNamesItsFaults(body: String, problem: String) async throws {
        let acme = try await Contract.bystander()

        #expect(try await acme.api.send("POST", acme.path + "/campaigns", bytes: body).problem == problem)
    }
}
