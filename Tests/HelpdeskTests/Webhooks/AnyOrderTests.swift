import Foundation
import Functions
import Helpdesk
import Postgres
import Queue
import Redis
import Security
import TestSupport
import Testing

/// Whatever order a conversation's webhooks come in, however often and in whatever batches: the rows end the same.
///
/// Each round is one seed, which a failure names: `TEST_SEED=17 runner/test --filter AnyOrderTests` plays that one again.
@Suite struct AnyOrderTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// More in `runner/test --fuzz`.
    private static let seeds: [UInt64] =
        environment["TEST_SEED"].flatMap { UInt64($0) }.map { [$0] }
        ?? Array(1...(environment["TEST_FUZZ"] == "long" ? 1000 : 30))
    private static let base = Date(timeIntervalSince1970: (Date().timeIntervalSince1970 - 7200).rounded(.down))

    @Test(arguments: ["whatsapp", "facebook", "instagram", "twitter", "linkedin"])
    func anyOrderAndRepetitionEndsInTheSameRows(_ kind: String) async throws {
        try await World.with { world in
            let inOrder = try await play(kind, nil, world)
            #expect(inOrder.count > 7)

            for seed in Self.seeds {
                let rows = try await play(kind, SeededGenerator(seed: seed), world)
                let (missing, surplus) = (Set(inOrder).subtracting(rows), Set(rows).subtracting(inOrder))
                #expect(missing == [], "\(kind), TEST_SEED=\(seed)")
                #expect(surplus == [], "\(kind), TEST_SEED=\(seed)")
                #expect(rows.count == inOrder.count, "\(kind), TEST_SEED=\(seed)")
                guard rows == inOrder else { return }
            }
        }
    }

    /// But for tickets: one that the new number has opened before anybody knew whose it is stays one, since it may have been seen.
    @Test(arguments: RecordedConversation.NewNumber.allCases)
    func aPersonWithANewNumberIsOnePersonInAnyOrder(_ newNumber: RecordedConversation.NewNumber) async throws {
        try await World.with { world in
            let inOrder = try await play("whatsapp", nil, world, newNumber: newNumber)
            #expect(inOrder.count { $0.hasPrefix("contact ") } == 1)
            #expect(inOrder.count { $0.hasPrefix("message ") } == 6)

            for seed in Self.seeds {
                let rows = try await play("whatsapp", SeededGenerator(seed: seed), world, newNumber: newNumber)
                #expect(rows == inOrder, "\(newNumber), TEST_SEED=\(seed)")
                guard rows == inOrder else { return }
            }
        }
    }

    /// Plays the conversation in an organisation of its own and answers its rows: as recorded, each piece by itself and
    /// stored before the next one comes, or as chance says.
    private func play(
        _ kind: String,
        _ chance: SeededGenerator?,
        _ world: World,
        newNumber: RecordedConversation.NewNumber? = nil
    ) async throws -> [String] {
        let jane = try await world.admin()
        let channel = try await world.channel(kind, jane)
        let ours = newNumber == nil ? try await sendToKim(kind, channel, jane, world) : nil
        let recorded = RecordedConversation(kind, ours: ours, base: Self.base, newNumber: newNumber)
        var player = Player(world: world, kind: kind, channel: channel, random: chance ?? SeededGenerator(seed: 0))
        if var random = chance {
            // A third comes twice.
            var pieces = recorded.pieces.flatMap { piece in random.below(3) == 0 ? [piece, piece] : [piece] }
            pieces.shuffle(using: &random)
            player.random = random
            for body in recorded.bodies(pieces, &random) {
                try await player.post(body)
                if random.below(3) == 0 { try await player.work() }
            }
        } else {
            for piece in recorded.pieces {
                for body in recorded.bodies(of: [piece], isSplit: false) { try await player.post(body) }
                try await player.finish(isLast: false)
            }
        }
        try await player.finish(isLast: true)
        let rows = try await rows(of: jane, ours, world)
        guard newNumber != nil else { return rows }
        return rows.filter { !$0.hasPrefix("ticket ") }
            .map { $0.replacing(#""ticket": false"#, with: #""ticket": true"#) }.sorted()
    }

    /// Kim has written, and our answer is on its way: what becomes of it the webhooks tell. Its id, where the provider sends
    /// that back.
    private func sendToKim(_ kind: String, _ channel: String, _ jane: Caller, _ world: World) async throws -> String? {
        guard ["whatsapp", "facebook"].contains(kind) else { return nil }
        _ = try await world.work(
            "receive-message",
            [
                [
                    "channelId": .string(channel), "externalId": "in-kim", "text": "Hello?",
                    "sender": ["phone": "+4915550001", "externalId": "7000000000000001", "name": "Kim"],
                    "providerAt": .string(Self.base.rfc3339),
                ]
            ]
        )
        let ticket = try await world.column("SELECT id::text FROM tickets WHERE channel_id = \(channel)::uuid")
        let id = try await world.send("our answer", ticket[0] ?? "-", as: jane).text("id")
        _ = try await world.owner.query(
            """
            UPDATE messages SET attempts = 1, attempted_at = \(Self.base)::timestamptz + interval '300 seconds'
             WHERE id = \(id)::uuid
            """
        )
        return id
    }

    /// A line for each row, ids replaced by what providers call them.
    ///
    /// Without what depends on the order of acceptance, because nothing else is known of it: the order of a ticket's messages,
    /// when rows were made, a ticket's first and last message and what is unread. Files of messages that were taken back may never have
    /// been asked for.
    private func rows(of jane: Caller, _ ours: String?, _ world: World) async throws -> [String] {
        let org = jane.organisation
        let lines = try await world.column(
            """
            WITH people AS (
                SELECT c.*, (
                           SELECT string_agg(i.kind || '=' || i.value, ' ' ORDER BY i.kind, i.value)
                             FROM contact_identities i WHERE i.org_id = \(org) AND i.contact_id = c.id
                       ) AS ids
                  FROM contacts c WHERE c.org_id = \(org) AND c.gone_at IS NULL
            )
            SELECT 'contact ' || concat_ws('|', p.ids, p.name, p.phone, p.handle, p.opted_out, p.referral) FROM people p
             UNION ALL
            SELECT 'conversation ' || concat_ws('|', p.ids, v.ticket_id IS NOT NULL, v.last_inbound_provider_at)
              FROM conversations v JOIN people p ON p.id = v.contact_id WHERE v.org_id = \(org)
             UNION ALL
            SELECT 'ticket ' || concat_ws('|', p.ids, t.status, t.assignee_id, t.subject, t.first_response_at IS NOT NULL)
              FROM tickets t JOIN people p ON p.id = t.contact_id WHERE t.org_id = \(org)
             UNION ALL
            SELECT 'message ' || jsonb_build_object(
                       'id', m.external_id, 'contact', p.ids, 'ticket', m.ticket_id = v.ticket_id, 'direction', m.direction,
                       'author', m.author_type, 'name', m.author_name, 'text', m.text, 'attachments', m.attachments,
                       'metadata', m.metadata, 'status', m.status, 'code', m.error_code, 'reason', m.error_message,
                       'replyTo', q.external_id, 'quotes', m.quotes, 'providerAt', m.provider_at, 'sentAt', m.sent_at,
                       'deliveredAt', m.delivered_at, 'readAt', m.read_at, 'deletedAt', m.deleted_at,
                       'edit', CASE WHEN m.deleted_at IS NULL THEN m.edit_number END,
                       'reactions', (
                           SELECT jsonb_agg(concat_ws(' ', r.by, r.emoji, r.reacted_at, r.removed_at IS NOT NULL) ORDER BY r.by)
                             FROM reactions r WHERE r.org_id = \(org) AND r.message_id = m.id
                       ),
                       'files', (
                           SELECT jsonb_agg(concat_ws(' ', a.place, a.type, a.status, a.url, a.media) ORDER BY a.place)
                             FROM attachments a WHERE a.org_id = \(org) AND a.message_id = m.id AND a.status <> 'erased'
                       )
                   )::text
              FROM messages m
              JOIN people p ON p.id = m.contact_id
              JOIN conversations v ON v.org_id = m.org_id AND v.channel_id = m.channel_id AND v.contact_id = m.contact_id
              LEFT JOIN messages q ON q.org_id = m.org_id AND q.id = m.reply_to
             WHERE m.org_id = \(org)
             ORDER BY 1
            """
        )
        return lines.compactMap { line in ours.map { line?.replacing($0, with: "(ours)") } ?? line }
    }
}

/// Posts webhooks and does what they have queued, as workers would that take any jobs in any batches.
private struct Player {
    private struct Waiting {
        let name: String
        let id: String
        let data: String
        let acceptedAt: Int64
    }

    let world: World
    let kind: String
    let channel: String
    var random: SeededGenerator
    private var waiting: [Waiting] = []

    init(world: World, kind: String, channel: String, random: SeededGenerator) {
        self.world = world
        self.kind = kind
        self.channel = channel
        self.random = random
    }

    /// As the provider sends it; it is taken.
    func post(_ body: JSON) async throws {
        let bytes = Array(body.text.utf8)
        let key = Array("s".utf8)
        let header: (name: String, value: String) =
            switch kind {
            case "twitter":
                (
                    "x-twitter-webhooks-signature",
                    "sha256=" + Base64.standard.encode(HMAC.sha256(key: key, message: bytes))
                )
            case "linkedin":
                ("x-li-signature", Hex.encode(HMAC.sha256(key: key, message: Array("hmacsha256=".utf8) + bytes)))
            default: ("x-hub-signature-256", "sha256=" + Hex.encode(HMAC.sha256(key: key, message: bytes)))
            }
        let reply = try await world.call(
            "receive-webhook",
            path: ["channelId": channel],
            raw: bytes,
            headers: [header]
        )
        #expect(reply.status == 200)
    }

    /// Takes some of what waits, and puts back what isn't done.
    mutating func work() async throws {
        try await fetch()
        waiting.shuffle(using: &random)
        let taken = Array(waiting.prefix(1 + random.below(max(1, waiting.count))))
        waiting.removeFirst(taken.count)
        try await run(taken, ageing: random.below(2) == 0 ? 10 : 0)
    }

    /// Works until nothing is left that could be done; what still waits when all has come has waited too long.
    mutating func finish(isLast: Bool) async throws {
        var (age, rounds): (Int64, Int) = (0, 0)
        while rounds < 20 {
            try await fetch()
            guard !waiting.isEmpty else { return }
            waiting.shuffle(using: &random)
            let (taken, before) = (waiting, waiting.count)
            waiting = []
            try await run(taken, ageing: age)
            try await fetch()
            guard waiting.count >= before else { continue }
            guard isLast else { return }
            // An edit's patience, then everybody's; an edit that became a message comes once more.
            age = age == 0 ? 10 : 4000
            rounds += 1
        }
        Issue.record("\(waiting.count) jobs wait for ever: \(waiting.map(\.data))")
    }

    /// Of messages first: what an edit has become is found by that edit when it comes again.
    private mutating func run(_ jobs: [Waiting], ageing seconds: Int64) async throws {
        var names = ["receive-message", "apply-change"]
        if random.below(2) == 0 { names.reverse() }
        for name in names {
            let jobs = jobs.filter { $0.name == name }
            guard !jobs.isEmpty,
                let function = Registry.functions.first(where: { $0.name == name }),
                case .queue(let worker) = function.hosted
            else { continue }
            let outcomes = try await worker.call(
                jobs.map { job in
                    Job(
                        id: job.id,
                        queue: "test",
                        name: name,
                        data: job.data,
                        acceptedAt: job.acceptedAt - seconds * 1_000_000
                    )
                },
                world.workContext(name)
            )
            for (job, outcome) in zip(jobs, outcomes) {
                if case .snooze = outcome {
                    waiting.append(job)
                } else {
                    #expect(outcome == .done())
                }
            }
        }
    }

    /// Takes what lies in the queues.
    private mutating func fetch() async throws {
        let redis = world.services.redis
        for (queue, name) in [("inbound", "receive-message"), ("changes", "apply-change")] {
            let prefix = "test:\(world.database.name):\(queue)"
            let wait = RedisArgument.string(prefix + ":wait")
            let ids = try await redis.command(["LRANGE", wait, "0", "-1"]).array?.compactMap(\.string) ?? []
            guard !ids.isEmpty else { continue }
            _ = try await redis.command(["DEL", wait])
            for id in ids.reversed() {
                let job = try await redis.command(["HMGET", .string("\(prefix):\(id)"), "data", "acc"]).array ?? []
                let accepted = job.last?.string.flatMap { Int64($0) } ?? 0
                waiting.append(Waiting(name: name, id: id, data: job.first?.string ?? "", acceptedAt: accepted))
            }
        }
    }
}
