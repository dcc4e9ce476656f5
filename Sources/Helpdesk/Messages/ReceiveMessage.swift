import Connectors
import Foundation
import Functions
import Postgres
import Queue

/// Stores the messages that customers sent: finds or makes their contacts, and finds, opens or reopens their tickets.
///
/// `receive-message` in functions.yaml: `queue: inbound`, many jobs a call. The jobs of one organisation are one statement
/// (`take_messages`), and all organisations of a call travel in one round trip, each in a transaction of its own. A
/// message that was stored before changes nothing, so a job may run any number of times. Messages are listed in the order
/// in which the queue accepted them, whatever order they are stored in.
///
/// A job ends as done when its message is stored; as snoozed while the database is away; as failed, and tried again, when it
/// refuses the message; as discarded when its channel is gone or its data can't be stored. Where a statement fails its
/// messages are stored one by one, so that the bad one harms no others. What a person wrote who has been erased since is
/// dropped. What failed for good is kept for 30 days in `unprocessed_events`.
struct ReceiveMessage: BatchFunction {
    struct Payload: Decodable, Sendable {
        let channelId: Channel.ID
        let externalId: String?
        let sender: Person
        let text: String?
        let attachments: [JSON]?
        let replyTo: String?
        let providerAt: Date?
        let metadata: JSON?

        /// Who wrote, by at least one of the ids.
        struct Person: Decodable, Sendable {
            let phone: String?
            let handle: String?
            let externalId: String?
            let name: String?
        }
    }

    static let queue = "inbound"

    /// No text is too long to be received; this is what a webhook's body may hold.
    static let anyLength = 0...4_194_304

    /// A ``Payload/Person``.
    static let person = FieldType.object([
        .optional("phone", .phone),
        .optional("handle", .text(1...512, .opaque), example: "jane"),
        .optional("externalId", .text(1...512, .opaque), doc: "the provider's id", example: "8812"),
        .optional("name", .text(anyLength, .opaque), example: "Jane Doe"),
    ])

    static let payload = Shape<Payload>(
        body: .json([
            .required("channelId", .uuid, doc: "also says whose message it is"),
            .optional(
                "externalId",
                .text(1...1024, .opaque),
                doc: "the provider's id: once per channel",
                example: "msg-123"
            ),
            .required("sender", person, doc: "with a phone, a handle or an externalId"),
            .optional("text", .text(anyLength, .opaque), example: "Where is my parcel?"),
            .optional("attachments", .list(.json), doc: "`{type, url, mimeType, name, size}` each", example: []),
            .optional(
                "replyTo",
                .text(1...1024, .opaque),
                doc: "the provider's id of the quoted message",
                example: "msg-1"
            ),
            .optional("providerAt", .time, doc: "the provider's time"),
            .optional("metadata", .json, doc: "an object that is kept", example: [:]),
        ])
    )

    /// The job of a message that came in on a channel.
    static func job(for message: InboundMessage, on channel: ConnectedChannel, trace: String?) -> NewJob {
        var writer = JSONWriter(capacity: 512)
        writer.object {
            $0.member("channelId", channel.id)
            $0.member("externalId", message.externalId)
            $0.member("sender", message.sender.json)
            $0.member("text", message.text)
            $0.member("attachments", .array(message.attachments.map(\.json)))
            $0.member("replyTo", message.replyTo)
            $0.member("providerAt", message.sentAt)
            if let metadata = message.metadata {
                $0.name("metadata")
                $0.raw(metadata.text)
            }
        }
        return NewJob(name: name, data: writer.text, organisation: channel.organisation.uuid, trace: trace)
    }

    func handle(_ jobs: [Work<Payload>], in context: WorkContext) async throws -> [Outcome] {
        var outcomes = [Outcome](repeating: .done(), count: jobs.count)
        let owners = try await Self.organisations(of: Set(jobs.map(\.payload.channelId)), context)
        var groups: [Organisation.ID: [Int]] = [:]
        for (index, job) in jobs.enumerated() {
            if let owner = owners[job.payload.channelId] ?? nil {
                if let fault = job.payload.fault {
                    outcomes[index] = .discard(fault)
                } else {
                    groups[owner, default: []].append(index)
                }
            } else {
                outcomes[index] = .discard("data/channelId is no channel, or one that has been deleted")
            }
        }
        var pending = groups.map { InboundBatch($0.key, $0.value.map { InboundBatch.Entry($0, jobs[$0]) }) }
        for round in 0... {
            guard !pending.isEmpty else { break }
            let results = await context.services.postgres.run(
                groups: pending.map { batch in
                    let check = batch.erasureCheck(with: context.services.sealed)
                    return [OrganisationScope.entry(batch.organisation), batch.statement, check]
                }
            )
            var next: [InboundBatch] = []
            for (batch, result) in zip(pending, results) {
                guard case .failure(let error) = result else { continue }
                if error.isUnavailable {
                    // Not the jobs' fault: they wait without losing an attempt.
                    for entry in batch.entries { outcomes[entry.index] = .snooze(.seconds(1)) }
                } else if error.sqlState == "DC410", round < Self.rounds {
                    // Done: what an erased person wrote before is to be stored nowhere.
                    let rest = try await batch.withoutErased(in: context)
                    if !rest.entries.isEmpty { next.append(rest) }
                } else if error.isTransient, round < Self.rounds {
                    next.append(batch)
                } else if error.kind == .server, batch.entries.count > 1 {
                    next += batch.entries.map { InboundBatch(batch.organisation, [$0]) }
                } else {
                    for entry in batch.entries { outcomes[entry.index] = .failed("\(error)") }
                }
            }
            pending = next
        }
        await EventHub.announce(groups.keys, context.services)
        let files = groups.mapValues { $0.count { Attachment.haveFiles(jobs[$0].payload.attachments) } }
        await FetchAttachments.announce(files.filter { $0.value > 0 }, context.services)
        return outcomes
    }

    /// Keeps the jobs whose channel is known; one whose channel isn't belongs to nobody.
    func keep(_ jobs: [FailedJob], in context: WorkContext) async throws {
        let channels = jobs.map { failed in
            (try? JSON.parse(failed.job.data))?["channelId"]?.string.flatMap { Channel.ID($0) }  // unreadable: nobody's
        }
        let owners = try await Self.organisations(of: Set(channels.compactMap { $0 }), context)
        for (failed, channel) in zip(jobs, channels) {
            guard let channel, let owner = owners[channel] ?? nil else { continue }
            let digests = Erasure.digests(ofJob: failed.job.data, in: owner, with: context.services.sealed)
            _ = try await context.organisation(owner).run([
                Self.lockUnprocessed(of: owner),
                Self.keeping(failed, from: channel, of: owner, unless: digests),
            ])
        }
    }

    /// Keeping jobs and erasing people come one after another: neither overlooks the other.
    static func lockUnprocessed(of organisation: Organisation.ID) -> SQL {
        "SELECT pg_advisory_xact_lock(hashtextextended('unprocessed_events ' || \(organisation)::text, 0))"
    }

    private static func keeping(
        _ failed: FailedJob,
        from channel: Channel.ID,
        of organisation: Organisation.ID,
        unless digests: [[UInt8]]
    ) -> SQL {
        let job = failed.job
        return """
            INSERT INTO unprocessed_events
                   (org_id, channel_id, queue, job_id, job_name, data, reason, attempts, accepted_at)
            SELECT \(organisation)::uuid, \(channel)::uuid, \(job.queue), \(job.id), \(job.name), \(job.data),
                   \(failed.reason), \(job.attemptsStarted)::integer, \(job.acceptedAt)::bigint
             WHERE NOT EXISTS (
                       SELECT FROM find_erased(
                           \(organisation)::uuid, \(digests.map { _ in 1 })::integer[], \(digests)::bytea[],
                           \(digests.map { _ in job.acceptedAt })::bigint[]
                       )
                   )
            ON CONFLICT (org_id, queue, job_id, accepted_at) DO NOTHING
            """
    }

    /// How often a statement is run again that met another one's change.
    private static let rounds = 5

    /// Whose the channels are; those of deleted and unknown channels are absent.
    private static func organisations(
        of channels: Set<Channel.ID>,
        _ context: WorkContext
    ) async throws -> [Channel.ID: Organisation.ID?] {
        let directory = ChannelDirectory.shared(context.services)
        return try await withThrowingTaskGroup(of: (Channel.ID, Organisation.ID?).self) { group in
            for channel in channels { group.addTask { (channel, try await directory.find(channel)?.organisation) } }
            var owners: [Channel.ID: Organisation.ID?] = [:]
            for try await (channel, owner) in group { owners[channel] = owner }
            return owners
        }
    }
}

extension ReceiveMessage.Payload {
    /// An edit stands for its message, whose original hasn't come; see ``ApplyChange``.
    var isEditAlone: Bool { metadata?["isEditAlone"] == true }

    /// What the fields alone can't tell, as a sentence that names the field.
    var fault: String? {
        if sender.phone == nil, sender.handle == nil, sender.externalId == nil {
            return "data/sender needs a phone, a handle or an externalId"
        }
        if let metadata {
            guard case .object = metadata, metadata.isStorable else {
                return "data/metadata must be an object without U+0000"
            }
        }
        guard (attachments ?? []).allSatisfy({ $0.members != nil && $0.isStorable }) else {
            return "data/attachments must be objects without U+0000"
        }
        return nil
    }
}
