import Connectors
import Foundation
import Functions
import Postgres
import Queue
import Redis

/// Applies what happened to messages and people: receipts, reactions, edits, what was taken back, what our side wrote
/// elsewhere, changed ids.
///
/// `apply-change` in functions.yaml: `queue: changes`, many jobs a call, those of one organisation by one statement
/// (`apply_changes`). Providers tell of these things in any order and several times; the rows end the same.
///
/// What is about a message that isn't there yet is tried again, ever more seldom, for as long as the message may still
/// come; an edit is stored as the message then. A job ends as discarded when its channel is gone or nobody can read it: what
/// is discarded is kept for 30 days in `unprocessed_events`.
struct ApplyChange: BatchFunction {
    struct Payload: Decodable, Sendable {
        let channelId: Channel.ID
        let kind: String
        let externalId: String?
        let messageId: Message.ID?
        let part: Int?
        let parts: Int?
        let haltsCampaign: Bool?
        let person: ReceiveMessage.Payload.Person?
        let successor: ReceiveMessage.Payload.Person?
        let at: Date?
        let status: String?
        let code: String?
        let reason: String?
        let number: Int?
        let emoji: String?
        let isOptOut: Bool?
        let text: String?
        let attachments: [JSON]?
        let replyTo: String?
        let metadata: JSON?
        let raw: JSON?
    }

    static let queue = "changes"
    /// The kind of what couldn't be read.
    private static let unreadable = "unreadable"

    static let payload = Shape<Payload>(
        body: .json([
            .required("channelId", .uuid, doc: "also says whose it is"),
            .required("kind", .choice(InboundChange.Kind.allCases.map(\.rawValue) + [unreadable])),
            .optional("externalId", .text(1...1024, .opaque), doc: "the message's id", example: "msg-123"),
            .optional("messageId", .uuid, doc: "our id of the message, where the provider knows it"),
            .optional("part", .integer(1...100), doc: "which of the message's parts, where it has several"),
            .optional("parts", .integer(2...100), doc: "how many parts the message has"),
            .optional("haltsCampaign", .boolean, doc: "of a failure: whoever else is sent the same fares no better"),
            .optional("person", ReceiveMessage.person),
            .optional("successor", ReceiveMessage.person, doc: "the person's new ids"),
            .optional("at", .time, doc: "the provider's time"),
            .optional("status", .choice(["sent", "delivered", "read", "failed"])),
            .optional("code", .text(1...1024, .opaque), doc: "of a failure", example: "131026"),
            .optional(
                "reason",
                .text(ReceiveMessage.anyLength, .opaque),
                doc: "of a failure",
                example: "Message undeliverable"
            ),
            .optional("number", .integer(Int.min...Int.max), doc: "of the edit, or the id up to which was read"),
            .optional("emoji", .text(1...64, .opaque), doc: "none takes the reaction back", example: "👍"),
            .optional("isOptOut", .boolean),
            .optional("text", .text(ReceiveMessage.anyLength, .opaque), example: "Where is my parcel?"),
            .optional("attachments", .list(.json), doc: "`{type, url, mimeType, name, size}` each", example: []),
            .optional(
                "replyTo",
                .text(1...1024, .opaque),
                doc: "the provider's id of the quoted message",
                example: "msg-1"
            ),
            .optional("metadata", .json, doc: "an object that is kept", example: [:]),
            .optional("raw", .json, doc: "what couldn't be read", example: [:]),
        ])
    )

    static func job(for change: InboundChange, on channel: ConnectedChannel, trace: String?) -> NewJob {
        var writer = JSONWriter(capacity: 256)
        writer.object {
            $0.member("channelId", channel.id)
            $0.member("kind", change.kind.rawValue)
            $0.member("externalId", change.externalId)
            $0.member("messageId", change.messageId?.uuidString.lowercased())
            if let part = change.part {
                $0.member("part", part.number)
                $0.member("parts", part.count)
            }
            if change.haltsCampaign { $0.member("haltsCampaign", true) }
            if let person = change.person { $0.member("person", person.json) }
            if let successor = change.successor { $0.member("successor", successor.json) }
            $0.member("at", change.at)
            $0.member("status", change.status)
            $0.member("code", change.fault?.code)
            $0.member("reason", change.fault?.message)
            $0.member("number", change.number.map(Int.init))
            $0.member("emoji", change.emoji)
            if let isOptOut = change.isOptOut { $0.member("isOptOut", isOptOut) }
            $0.member("text", change.text)
            $0.member("attachments", .array(change.attachments.map(\.json)))
            $0.member("replyTo", change.replyTo)
            if let metadata = change.metadata {
                $0.name("metadata")
                $0.raw(metadata.text)
            }
        }
        return NewJob(name: name, data: writer.text, organisation: channel.organisation.uuid, trace: trace)
    }

    /// The job that keeps what couldn't be read, by failing.
    static func job(
        keeping raw: JSONValue,
        _ reason: String,
        on channel: ConnectedChannel,
        trace: String?
    ) -> NewJob {
        var writer = JSONWriter(capacity: 256)
        writer.object {
            $0.member("channelId", channel.id)
            $0.member("kind", unreadable)
            $0.member("reason", reason)
            $0.name("raw")
            $0.raw(raw.text)
        }
        return NewJob(name: name, data: writer.text, organisation: channel.organisation.uuid, trace: trace)
    }

    func handle(_ jobs: [Work<Payload>], in context: WorkContext) async throws -> [Outcome] {
        var outcomes = [Outcome](repeating: .done(), count: jobs.count)
        let owners = try await Self.owners(of: jobs.map(\.payload.channelId), context)
        var groups: [Organisation.ID: [Int]] = [:]
        for (index, job) in jobs.enumerated() {
            guard let owner = owners[job.payload.channelId] else {
                outcomes[index] = .discard("data/channelId is no channel, or one that has been deleted")
                continue
            }
            if let fault = job.payload.fault {
                outcomes[index] = .discard(fault)
            } else {
                groups[owner, default: []].append(index)
            }
        }
        var pending = groups.map { (organisation: $0.key, indices: $0.value) }
        for round in 0... {
            guard !pending.isEmpty else { break }
            let results = await context.services.postgres.run(
                groups: pending.map { batch in
                    [OrganisationScope.entry(batch.organisation), Self.statement(batch, jobs, context)]
                }
            )
            var next: [(organisation: Organisation.ID, indices: [Int])] = []
            for (batch, result) in zip(pending, results) {
                switch result {
                case .success(let rows):
                    let waiting = try rows.last?.first?.get("waiting", as: String.self) ?? ""
                    for place in waiting.split(separator: ",").compactMap({ Int($0) }) {
                        let index = batch.indices[place - 1]
                        outcomes[index] = try await Self.wait(jobs[index], batch.organisation, context)
                    }
                case .failure(let error) where error.isUnavailable:
                    // Not the jobs' fault: they wait without losing an attempt.
                    for index in batch.indices { outcomes[index] = .snooze(.seconds(1)) }
                case .failure(let error) where error.isTransient && round < Self.rounds:
                    next.append(batch)
                case .failure(let error) where error.kind == .server && batch.indices.count > 1:
                    next += batch.indices.map { (batch.organisation, [$0]) }
                case .failure(let error):
                    for index in batch.indices { outcomes[index] = .failed("\(error)") }
                }
            }
            pending = next
        }
        await EventHub.announce(groups.keys, context.services)
        let files = groups.mapValues { $0.count { Self.concernsFiles(jobs[$0].payload) } }
        await FetchAttachments.announce(files.filter { $0.value > 0 }, context.services)
        for job in jobs where job.payload.kind == InboundChange.Kind.revoked.rawValue {
            _ = await context.services.redis.pipeline([
                ["PUBLISH", .string(ChannelDirectory.topic), .string("\(job.payload.channelId)")]
            ])
        }
        return outcomes
    }

    /// Keeps the jobs whose channel is known; one whose channel isn't belongs to nobody.
    func keep(_ jobs: [FailedJob], in context: WorkContext) async throws {
        try await ReceiveMessage().keep(jobs, in: context)
    }

    /// Whether a file may have to be fetched or deleted.
    private static func concernsFiles(_ payload: Payload) -> Bool {
        payload.kind == InboundChange.Kind.unsend.rawValue || Attachment.haveFiles(payload.attachments)
    }

    /// How often a statement is run again that met another one's change.
    private static let rounds = 5
    /// How long a message may take to come behind what happened to it, in seconds.
    private static let patience = 3600.0
    /// How long an edit waits for its message before it becomes that message, an echo for the answer of a send, and a receipt up to
    /// a message or of a person for these: most that stay unknown are of conversations before the channel was connected.
    private static let shortPatience = (edit: 2.0, echo: 60.0, reach: 60.0)

    private static func age(_ job: Work<Payload>, _ context: WorkContext) -> Double {
        max(0, context.now.timeIntervalSince1970 - Double(job.acceptedAt) / 1_000_000)
    }

    /// What becomes of a change whose message isn't there.
    private static func wait(
        _ job: Work<Payload>,
        _ organisation: Organisation.ID,
        _ context: WorkContext
    ) async throws -> Outcome {
        let age = age(job, context)
        if job.payload.kind == InboundChange.Kind.edit.rawValue, age >= shortPatience.edit,
            let message = job.payload.originalMessage
        {
            // Under the original's id, so that the original changes nothing any more; the edit finds it the next time.
            let data = NewJob(
                name: ReceiveMessage.name,
                data: message.text,
                organisation: organisation.uuid,
                trace: job.trace.flatMap { $0.isEmpty ? nil : $0 }
            )
            _ = try await context.services.producer.add([data], to: ReceiveMessage.queue)
            return .snooze(.seconds(1))
        }
        let isReach = job.payload.kind == InboundChange.Kind.reach.rawValue
        guard age < (isReach ? shortPatience.reach : patience) else { return .done() }
        // Ever more seldom: at most a dozen times in all.
        return .snooze(.milliseconds(Int64(min(max(age, 1), 600) * 1000)))
    }

    private static func statement(
        _ batch: (organisation: Organisation.ID, indices: [Int]),
        _ jobs: [Work<Payload>],
        _ context: WorkContext
    ) -> SQL {
        let changes = batch.indices.map { index in
            jobs[index].payload.change(
                acceptedAt: jobs[index].acceptedAt,
                isPatient: age(jobs[index], context) < shortPatience.echo
            )
        }
        return """
            SELECT array_to_string(
                       apply_changes(\(batch.organisation)::uuid, \(JSON.array(changes).text)::jsonb), ','
                   ) AS waiting
            """
    }

    private static func owners(
        of channels: [Channel.ID],
        _ context: WorkContext
    ) async throws -> [Channel.ID: Organisation.ID] {
        var owners: [Channel.ID: Organisation.ID] = [:]
        for channel in Set(channels) {
            owners[channel] = try await ChannelDirectory.shared(context.services).find(channel)?.organisation
        }
        return owners
    }
}

extension ApplyChange.Payload {
    /// What the fields alone can't tell, as a sentence.
    fileprivate var fault: String? {
        guard let kind = InboundChange.Kind(rawValue: kind) else { return reason ?? "it can't be read" }
        let isAboutMessage: Bool
        let isAboutPerson: Bool
        switch kind {
        case .status, .edit, .unsend, .reaction: (isAboutMessage, isAboutPerson) = (true, false)
        case .echo: (isAboutMessage, isAboutPerson) = (true, true)
        case .reach, .identity, .preference, .referral: (isAboutMessage, isAboutPerson) = (false, true)
        case .revoked: (isAboutMessage, isAboutPerson) = (false, false)
        }
        if isAboutMessage, externalId == nil { return "data/externalId is missing" }
        if isAboutPerson, person?.isKnown != true { return "data/person needs a phone, a handle or an externalId" }
        if kind == .identity, successor?.isKnown != true {
            return "data/successor needs a phone, a handle or an externalId"
        }
        if kind == .status || kind == .reach, status == nil { return "data/status is missing" }
        if kind == .edit, number == nil || text == nil { return "data/number or data/text is missing" }
        if kind == .preference, isOptOut == nil { return "data/isOptOut is missing" }
        if kind == .reach, at == nil, number == nil, externalId == nil { return "data has nothing to reach" }
        if let metadata, metadata.members == nil || !metadata.isStorable {
            return "data/metadata must be an object without U+0000"
        }
        guard (attachments ?? []).allSatisfy({ $0.members != nil && $0.isStorable }) else {
            return "data/attachments must be objects without U+0000"
        }
        return nil
    }

    /// As `apply_changes` takes it.
    fileprivate func change(acceptedAt: Int64, isPatient: Bool) -> JSON {
        [
            "kind": .string(kind), "channelId": .string("\(channelId)"), "externalId": .text(externalId),
            "messageId": .text(messageId.map { "\($0)" }), "part": part.map { .number(String($0)) } ?? .null,
            "parts": parts.map { .number(String($0)) } ?? .null, "haltsCampaign": .bool(haltsCampaign ?? false),
            "person": person.map(\.json) ?? .null,
            "successor": successor.map(\.json) ?? .null, "at": .text(at?.rfc3339), "status": .text(status),
            "code": .text(code), "reason": .text(reason), "number": number.map { .number(String($0)) } ?? .null,
            "emoji": .text(emoji), "isOptOut": isOptOut.map { .bool($0) } ?? .null, "text": .text(text),
            "attachments": .array((attachments ?? []).map { Attachment($0).json }), "replyTo": .text(replyTo),
            "metadata": metadata ?? .null, "acceptedAt": .number(String(acceptedAt)), "isPatient": .bool(isPatient),
        ]
    }

    /// An edited message whose original hasn't come, as ``ReceiveMessage`` takes it. `receive_messages` knows it by its metadata: it
    /// opens no window, and the original completes it.
    fileprivate var originalMessage: JSON? {
        guard let person, person.isKnown else { return .none }
        return [
            "channelId": .string("\(channelId)"), "externalId": .text(externalId), "sender": person.json,
            "text": .text(text), "providerAt": .text(at?.rfc3339), "metadata": ["isEditAlone": true],
        ]
    }
}
