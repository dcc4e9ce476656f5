import Foundation
import Postgres
import TestSupport
import Testing

/// `runner webhooks`, through the real executable beside a running host.
@Suite struct ReplayWebhooksTests {
    private static let body =
        #"{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"metadata":"#
        + #"{"phone_number_id":"300100200101"},"messages":[{"from":"441632960111","id":"wamid.1","timestamp":"1763805600","#
        + #""type":"text","text":{"body":"Understood by now"}}]}}]}]}"#

    private func runner(_ host: RunningHost, _ words: String) async throws -> Command {
        try await Command.shell(
            "REDIS_URL='\(host.redisURL)' DATABASE_URL='\(host.database.applicationURL)' "
                + "JWT_SECRET='a secret of the tests, long enough for HS256' "
                + "ENCRYPTION_KEY='\(String(repeating: "0123456789abcdef", count: 4))' "
                + "\(Checkout.executable) webhooks \(words) -f \(Checkout.root)/functions.yaml </dev/null"
        )
    }

    private func number(of acme: Organisation) async throws -> String {
        let credentials = [
            "accessToken": "0123456789abcdef", "appSecret": "an app secret of the tests",
            "verifyToken": "a verify token",
            "phoneNumberId": "300100200101", "businessAccountId": "300100200100",
        ]
        let answer = try await acme.api.post(
            acme.path + "/channels",
            ["type": "whatsapp", "name": "Phone", "credentials": credentials]
        )
        guard answer.status == 201, let id = answer.string("id") else { throw UnexpectedAnswer(answer) }
        return id
    }

    private func keep(_ data: String, of acme: Organisation, _ channel: String, job: String, _ host: RunningHost)
        async throws
    {
        let queue = job == "apply-change" ? "changes" : "inbound"
        _ = try await host.database.rows(
            """
            INSERT INTO unprocessed_events (org_id, channel_id, queue, job_id, job_name, data, reason, attempts, accepted_at)
            VALUES (\(acme.id)::uuid, \(channel)::uuid, \(queue), \(UUID().uuidString), \(job), \(data), 'for a test', 1, 1)
            """
        )
    }

    private func messages(of acme: Organisation) async throws -> [String] {
        var texts: [String] = []
        for ticket in try await acme.tickets() {
            texts += try await acme.messages(of: ticket["id"] as? String ?? "").compactMap { $0["text"] as? String }
        }
        return texts.sorted()
    }

    @Test func whatIsUnderstoodByNowArrivesOnceAndTheRestStays() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let (mock, phone) = (try await acme.channel(), try await number(of: acme))
        let failed =
            #"{"channelId":"\#(mock)","externalId":"m1","sender":{"phone":"+12345678901"},"text":"Failed before"}"#
        let raw = #"{"channelId":"\#(phone)","kind":"unreadable","reason":"r","raw":\#(Self.body)}"#
        let still = #"{"channelId":"\#(phone)","kind":"unreadable","reason":"r","raw":{"type":"text"}}"#
        try await keep(failed, of: acme, mock, job: "receive-message", host)
        try await keep(raw, of: acme, phone, job: "apply-change", host)
        try await keep(still, of: acme, phone, job: "apply-change", host)

        let trial = try await runner(host, "replay --dry-run --json")
        let refused = try await runner(host, "replay")
        let listed = try await runner(host, "list --json --channel \(phone) --since 1h")
        let done = try await runner(host, "replay --yes")
        let again = try await runner(host, "replay --yes --json")

        #expect(trial.output == #"{"queued":2,"unreadable":1,"channelGone":0,"gone":0}"# + "\n", "\(trial.errors)")
        #expect(refused.status != 0)
        #expect(refused.errors.contains("Play 3 events again: repeat it with --yes."))
        let events = try JSONSerialization.jsonObject(with: Data(listed.output.utf8)) as? [[String: Any]]
        #expect(events?.compactMap { $0["channel"] as? String } == [phone, phone])
        #expect(done.output == "2 queued\n1 still can't be read\n")
        #expect(again.output == #"{"queued":0,"unreadable":1,"channelGone":0,"gone":0}"# + "\n")
        let expected = ["Failed before", "Understood by now"]
        _ = try await eventually { try await messages(of: acme) == expected ? true : nil }

        // By hand, as if the replay had been killed before it was noted down.
        _ = try await host.database.rows("UPDATE unprocessed_events SET replayed_at = NULL")
        _ = try await runner(host, "replay --yes")
        try await host.becomeIdle()
        #expect(try await messages(of: acme) == expected)
        host.stop()
    }

    @Test func whatAConnectorCannotReadIsKeptInABodyThatItCouldRead() async throws {
        let host = try await RunningHost()
        let acme = try await Organisation.signUp(host.api)
        let phone = try await number(of: acme)
        let broken = Self.body.replacing(#""id":"wamid.1","#, with: "")
        let digest = try await Command.shell(
            "printf %s '\(broken)' | openssl dgst -sha256 -hmac 'an app secret of the tests' | sed 's/.*= //'"
        )
        let signature = "sha256=" + digest.output.trimmingCharacters(in: .whitespacesAndNewlines)
        let answer = try await host.api.send(
            "POST",
            "/webhook/\(phone)",
            bytes: broken,
            headers: ["Content-Type": "application/json", "X-Hub-Signature-256": signature]
        )
        #expect(answer.text == #"{"received":1}"#)
        _ = try await eventually { try await host.database.rows("SELECT 1 FROM unprocessed_events").first }

        // As if a release had learnt what such a message is called by.
        _ = try await host.database.rows(
            """
            UPDATE unprocessed_events
               SET data = jsonb_set(data::jsonb, '{raw,entry,0,changes,0,value,messages,0,id}', '"made-up"')::text
            """
        )
        let done = try await runner(host, "replay --yes")

        #expect(done.output == "1 queued\n", "\(done.errors)")
        _ = try await eventually { try await messages(of: acme) == ["Understood by now"] ? true : nil }
        host.stop()
    }
}
