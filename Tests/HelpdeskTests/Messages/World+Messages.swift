import Foundation
import Functions
import Helpdesk
import Postgres
import Queue
import Redis
import TestSupport

extension World {
    /// Runs jobs of a worker in one call, as the host would; `acceptedAt` is of the first one, those after it follow
    /// microsecond by microsecond.
    func work(_ name: String, _ data: [JSON], acceptedAt: Int64? = nil, startedBefore: Int = 0) async throws
        -> [Outcome]
    {
        guard let function = Registry.functions.first(where: { $0.name == name }),
            case .queue(let worker) = function.hosted
        else { throw UnknownFunction(name: name) }
        let start = acceptedAt ?? Int64(Date().timeIntervalSince1970 * 1_000_000)
        let jobs = data.enumerated().map { index, data in
            Job(
                id: "\(index + 1)",
                queue: "test",
                name: name,
                data: data.text,
                attemptsMade: startedBefore,
                acceptedAt: start + Int64(index)
            )
        }
        return try await worker.call(jobs, workContext(name))
    }

    func workContext(_ name: String, deadline: Date? = nil) -> WorkContext {
        WorkContext(
            function: name,
            uses: uses,
            deadline: deadline,
            logger: services.logger,
            services: services
        )
    }

    /// Lets customers' messages in on a channel, all in one batch.
    @discardableResult
    func receive(_ channel: String, _ messages: Inbound..., acceptedAt: Int64? = nil) async throws -> [Outcome] {
        try await work("receive-message", messages.map { $0.data(channel) }, acceptedAt: acceptedAt)
    }

    /// A customer's message in a test's words.
    struct Inbound: Sendable {
        var text: String
        var phone: String? = "+4915550001"
        var handle: String?
        var name: String?
        var id: String? = UUID().uuidString
        var replyTo: String?
        var providerAt: Date?

        func data(_ channel: String) -> JSON {
            let text = { (value: String?) in value.map(JSON.string) ?? .null }
            return [
                "channelId": .string(channel), "externalId": text(id),
                "sender": ["phone": text(phone), "handle": text(handle), "name": text(name)],
                "text": .string(self.text), "replyTo": text(replyTo), "providerAt": text(providerAt?.rfc3339),
            ]
        }
    }

    /// A new mock channel's id.
    func mock(_ caller: Caller, settings: JSON = [:]) async throws -> String {
        let body: JSON = ["type": "mock", "name": "Web", "settings": settings]
        return try await call("create-channel", as: caller, body: body).text("id")
    }

    /// The id of a new ticket on the channel.
    func ticket(_ caller: Caller, on channel: String, _ more: [JSON.Member] = []) async throws -> String {
        var body: [JSON.Member] = [.init("channelId", .string(channel))] + more
        if !more.contains(where: { $0.name == "contact" || $0.name == "contactId" }) {
            body.append(.init("contact", ["phone": "+4915550001", "name": "Kim"]))
        }
        return try await call("create-ticket", as: caller, body: .object(body)).text("id")
    }

    func send(_ text: String, _ ticket: String, as caller: Caller) async throws -> Reply {
        try await call("send-message", as: caller, path: ["ticketId": ticket], body: ["text": .string(text)])
    }

    func show(_ ticket: String, as caller: Caller) async throws -> Reply {
        try await call("get-ticket", as: caller, path: ["ticketId": ticket])
    }

    /// Runs the job of a ticket.
    func deliver(_ ticket: String, of caller: Caller, startedBefore: Int = 0) async throws -> Outcome {
        let data: JSON = ["orgId": .string("\(caller.organisation)"), "ticketId": .string(ticket)]
        return try await work("deliver-message", [data], startedBefore: startedBefore)[0]
    }

    /// The jobs that were added to a queue, oldest first, as their data.
    func queued(_ queue: String) async throws -> [JSON] {
        let prefix = "test:\(database.name):\(queue)"
        let ids = try await services.redis.command(["LRANGE", .string(prefix + ":wait"), "0", "-1"]).array ?? []
        var jobs: [JSON] = []
        for id in ids.compactMap(\.string).reversed() {
            let data = try await services.redis.command(["HGET", .string("\(prefix):\(id)"), "data"])
            jobs.append(try JSON.parse(data.string ?? ""))
        }
        return jobs
    }

    /// The types of an organisation's events, in the order in which they were written.
    func events(_ organisation: Tenant.ID) async throws -> [String?] {
        try await column("SELECT type FROM events WHERE org_id = \(organisation) ORDER BY id")
    }
}
