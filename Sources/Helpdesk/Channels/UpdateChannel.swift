import Functions
import Postgres

/// Renames, enables or disables a channel, or changes its credentials and settings, both merged key by key.
///
/// `update-channel` in functions.yaml: `PUT /orgs/:orgId/channels/:channelId`, admins only. `active` takes a channel out of
/// `error`, as new credentials do, and what stayed queued meanwhile is sent. What was queued on a channel that gets disabled fails with
/// `channel_gone`. What changes nothing writes
/// nothing.
///
/// - Throws: ``Failure/invalid(_:)`` for another type and for what the type doesn't know; ``Failure/notFound(_:)`` when it is
///   absent, deleted or another organisation's.
struct UpdateChannel: HTTPFunction {
    struct Input: Decodable, Sendable {
        let channelId: Channel.ID
        let type: Patch<String>
        let name: Patch<String>
        let status: Patch<String>
        let credentials: Patch<JSON>
        let settings: Patch<JSON>
    }

    static let input = Shape<Input>(
        path: [.required("channelId", .uuid)],
        body: .json([
            .patch("type", .choice(Channel.Kind.allCases.map(\.rawValue)), doc: "the present one", example: "mock"),
            .patch("name", .text(1...200, .name), example: "Web chat"),
            .patch("status", .choice(["active", "disabled"])),
            .patch("credentials", .json, doc: "an object by type; `null` takes an optional one away", example: [:]),
            .patch("settings", .json, doc: "an object by type; `null` takes one away", example: ["outcome": "ok"]),
        ])
    )

    static let output: OutputDeclaration = .object(Channel.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let store = try ChannelStore(context)
        return try await context.transaction { transaction in
            let rows = try await transaction.query(store.finding(input.channelId, locked: true))
            guard let row = rows.first else { throw Failure.notFound("channel") }
            let old = try ChannelStore.Row(row, context.services.sealed)
            let change = try Change(input, of: old)
            let changes = change.audited(against: old)
            guard !changes.isEmpty else { return try store.answer(rows) }

            var statements: [SQL] = [
                """
                UPDATE channels AS c
                   SET name = \(change.name), status = \(change.status), settings = \(change.settings.text)::jsonb,
                       status_reason = CASE WHEN \(change.status)::text = 'error' THEN c.status_reason END,
                       credentials = \(ChannelCredentials.seal(
                           change.credentials, for: old.id, with: context.services.sealed
                       )),
                       refreshed_at = CASE WHEN \(change.hasNewCredentials) THEN NULL ELSE c.refreshed_at END,
                       token_due_at = CASE WHEN \(change.hasNewCredentials) THEN NULL ELSE c.token_due_at END,
                       templates_tried_at = CASE WHEN \(change.hasNewCredentials) THEN NULL ELSE c.templates_tried_at END,
                       updated_at = now()
                 WHERE c.org_id = \(transaction.organisation) AND c.id = \(old.id)
                RETURNING \(raw: store.selectList)
                """,
                transaction.auditing("channel.update", old.id.uuid, changes: changes),
            ]
            if change.status == "disabled", old.status != "disabled" {
                statements.append(transaction.failingQueued(on: old.id))
            }
            let written = try await transaction.run(statements)
            if change.status == "active", old.status == "error" { try await Self.resume(old.id, in: transaction) }
            transaction.announceChange(of: old.id)
            return try store.answer(written[0])
        }
    }

    /// Has what waited for the channel sent; more tickets than these are the sweep's.
    private static func resume(_ channel: Channel.ID, in transaction: Transaction) async throws {
        let waiting = try await transaction.query(
            """
            SELECT DISTINCT m.ticket_id
              FROM messages AS m
             WHERE m.org_id = \(transaction.organisation) AND m.channel_id = \(channel) AND m.status = 'queued'
               AND m.ticket_id IS NOT NULL
             LIMIT 1000
            """
        )
        for row in waiting { transaction.enqueueDelivery(of: try row.get("ticket_id")) }
    }

    /// What a channel is afterwards.
    private struct Change {
        let name: String
        let status: String
        let settings: JSON
        let credentials: JSON
        let hasNewCredentials: Bool

        /// - Throws: ``Failure/invalid(_:)`` with everything that doesn't fit the channel's type.
        init(_ input: Input, of old: ChannelStore.Row) throws {
            var check = FieldCheck.body
            if let type = input.type.given, type != old.kind.rawValue {
                check.report("/type", "can't be changed; this channel is \(old.kind.rawValue)")
            }
            let given = check.object(
                input.credentials.given ?? [:],
                ChannelCredentials.patches(of: old.kind),
                at: "/credentials"
            )
            let set = check.object(input.settings.given ?? [:], ChannelSettings.fields(of: old.kind), at: "/settings")
            ChannelSettings.check(.object(set), kind: old.kind, into: &check)
            guard check.faults.isEmpty else { throw Failure.invalid(check.faults) }
            name = input.name.given ?? old.name
            credentials = old.credentials.merging(
                ChannelCredentials.unmasked(.object(given), over: old.credentials, kind: old.kind)
            )
            settings = old.settings.merging(.object(set))
            // Who puts in new credentials means the channel to go on.
            let isRepaired = old.status == "error" && credentials != old.credentials
            status = input.status.given ?? (isRepaired ? "active" : old.status)
            hasNewCredentials = credentials != old.credentials
        }

        func audited(against old: ChannelStore.Row) -> [AuditChange] {
            var changes: [AuditChange] = []
            if JSON.string(name) != .string(old.name) {
                changes.append(AuditChange("name", from: .string(old.name), to: .string(name)))
            }
            if status != old.status {
                changes.append(AuditChange("status", from: .string(old.status), to: .string(status)))
            }
            return changes + settings.changes(from: old.settings, under: "settings")
                + ChannelCredentials.changes(from: old.credentials, to: credentials, kind: old.kind)
        }
    }
}
