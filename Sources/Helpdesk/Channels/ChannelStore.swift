import Foundation
import Functions
import Postgres
import Security

/// The channels of one organisation as callers see them: rows with their credentials opened, masked, and an address.
struct ChannelStore: Sendable {
    private let sealed: Sealed
    private let publicURL: String
    private let organisation: Organisation.ID

    init(_ context: HTTPContext) throws {
        sealed = context.services.sealed
        organisation = try context.member().organisation
        let url = try context.setting("PUBLIC_URL") ?? ""
        publicURL = url.hasSuffix("/") ? String(url.dropLast()) : url
    }

    /// What ``answer(_:status:)`` reads of a row under the alias `c`.
    var selectList: SQL { "\(raw: Channel.stored.selectList), c.credentials AS sealed_credentials" }

    /// One channel that isn't deleted.
    func finding(_ id: Channel.ID, locked: Bool = false) -> SQL {
        """
        SELECT \(raw: selectList)
          FROM channels AS c
         WHERE c.org_id = \(organisation) AND c.id = \(id) AND c.deleted_at IS NULL
           \(raw: locked ? "FOR UPDATE" : "")
        """
    }

    /// The first row as an answer.
    func answer(_ rows: PostgresRows, status: Int = 200) throws -> Answer {
        var writer = JSONWriter(capacity: 1024)
        try write(rows, row: 0, into: &writer)
        return Answer(status: status, body: writer.bytes)
    }

    func write(_ rows: PostgresRows, row: Int, into writer: inout JSONWriter) throws {
        let channel = try Row(rows[rows.startIndex + row], sealed)
        writer.object {
            Channel.stored.write(membersOf: rows, row: row, into: &$0)
            $0.member("credentials", ChannelCredentials.masked(channel.credentials, kind: channel.kind))
            $0.member("webhookUrl", "\(publicURL)/webhook/\(channel.id)")
        }
    }

    /// A row with what a change compares.
    struct Row: Sendable {
        let id: Channel.ID
        let kind: Channel.Kind
        let name: String
        let status: String
        let settings: JSON
        let credentials: JSON

        init(_ row: PostgresRow, _ sealed: Sealed) throws {
            id = try row.get("id")
            name = try row.get("name")
            status = try row.get("status")
            settings = try JSON.parse(row.get("settings", as: String.self))
            guard let kind = Channel.Kind(rawValue: try row.get("type")) else { throw UnknownChannelKind(channel: id) }
            self.kind = kind
            credentials = try ChannelCredentials.open(
                row.optional("sealed_credentials"),
                of: id,
                with: sealed
            )
        }
    }
}

/// A row's type is none that this release knows: a newer one wrote it.
struct UnknownChannelKind: Error {
    let channel: Channel.ID
}

extension Transaction {
    /// The statement that ends what waits to be sent on a channel that is gone or disabled, and announces each message.
    func failingQueued(on channel: Channel.ID) -> SQL {
        """
        WITH gone AS (
            UPDATE messages
               SET status = 'failed', error_code = 'channel_gone',
                   error_message = 'The channel was deleted or disabled before the message was sent.'
             WHERE org_id = \(organisation) AND channel_id = \(channel) AND status = 'queued'
            RETURNING id, ticket_id
        )
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        SELECT \(organisation)::uuid, 'message.updated', id, ticket_id,
               jsonb_build_object('ticketId', ticket_id, 'status', 'failed')
          FROM gone
         WHERE ticket_id IS NOT NULL
        """
    }

    /// Tells every process's ``ChannelDirectory``, once this has committed, to look again.
    func announceChange(of channel: Channel.ID) {
        publish(channel.description, on: ChannelDirectory.topic)
    }
}
