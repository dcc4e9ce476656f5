import Foundation
import Functions
import Helpdesk
import Postgres
import Queue

extension World {
    /// A new campaign's id.
    func campaign(
        _ caller: Caller,
        on channel: String,
        text: String = "Hello {{name|there}}",
        perSecond: Int? = nil
    ) async throws -> String {
        var body: [JSON.Member] = [
            .init("name", "Black Friday"), .init("channelId", .string(channel)),
            .init("message", ["text": .string(text)]),
        ]
        if let perSecond { body.append(.init("rateLimit", ["perSecond": .number(String(perSecond))])) }
        return try await call("create-campaign", as: caller, body: .object(body)).text("id")
    }

    /// A campaign with so many recipients by number: +4915000001 and those after it.
    func campaign(_ caller: Caller, on channel: String, recipients count: Int, perSecond: Int? = nil) async throws
        -> String
    {
        let id = try await campaign(caller, on: channel, perSecond: perSecond)
        let rows = (1...count).map { "+491500\(String(format: "%05d", $0))" }.joined(separator: "\n")
        _ = try await upload("phone\n" + rows, "text/csv", to: id, as: caller)
        return id
    }

    func add(_ recipients: [JSON], to campaign: String, as caller: Caller) async throws -> Reply {
        try await call("add-recipients", as: caller, path: ["id": campaign], body: ["recipients": .array(recipients)])
    }

    /// Uploads a body in pieces of `piece` bytes; `cut` breaks the connection off behind the last.
    func upload(
        _ text: String,
        _ type: String,
        to campaign: String,
        as caller: Caller,
        piece: Int = 7,
        cut: Bool = false
    ) async throws -> Reply {
        let bytes = Array(text.utf8)
        let stream = BodyStream { consume in
            for start in stride(from: 0, to: bytes.count, by: piece) {
                try await consume(Array(bytes[start..<min(bytes.count, start + piece)]))
            }
            if cut { throw Failure.unreadable("The body ended too early.") }
        }
        return try await call(
            "add-recipients",
            as: caller,
            path: ["id": campaign],
            stream: stream,
            headers: [("content-type", type)]
        )
    }

    func act(_ verb: String, _ campaign: String, as caller: Caller, body: JSON? = nil) async throws -> Reply {
        try await call("\(verb)-campaign", as: caller, path: ["id": campaign], body: body)
    }

    func stats(_ campaign: String, as caller: Caller) async throws -> Reply {
        try await call("get-campaign-stats", as: caller, path: ["id": campaign])
    }

    /// Runs one job of a campaign.
    func sendBatch(_ campaign: String, of caller: Caller) async throws -> Outcome {
        let data: JSON = ["orgId": .string("\(caller.organisation)"), "campaignId": .string(campaign)]
        return try await work("send-campaign-batch", [data])[0]
    }

    func recipients(_ campaign: String, as caller: Caller, status: String? = nil) async throws -> [JSON] {
        try await call(
            "list-recipients",
            as: caller,
            path: ["id": campaign],
            query: [("limit", "100")] + (status.map { [("status", $0)] } ?? [])
        )["data"]?.array ?? []
    }

    /// Of the stats, the members that aren't 0, by name, with their sum checked against the total.
    func counts(_ campaign: String, as caller: Caller) async throws -> [String: Int] {
        let reply = try await stats(campaign, as: caller)
        let names = ["pending", "sent", "delivered", "read", "failed", "optedOut", "cancelled"]
        let counts = Dictionary(uniqueKeysWithValues: names.map { ($0, reply[$0]?.integer ?? -1) })
        guard counts.values.reduce(0, +) == reply["total"]?.integer else { return ["sum": -1] }
        return counts.filter { $0.value != 0 }
    }
}
