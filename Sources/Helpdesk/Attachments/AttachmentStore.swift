import Connectors
import Foundation
import Functions
import Postgres
import Security

/// The statements that fetch and delete one organisation's files.
struct AttachmentStore {
    /// Seconds in which nobody else takes a file that somebody is at; longer than a fetch may take.
    static let lease = 150

    private let organisation: Organisation.ID

    init(_ organisation: Organisation.ID) {
        self.organisation = organisation
    }

    /// Takes one that is due, to be fetched or deleted, and puts it off, so that nobody else takes it meanwhile and somebody
    /// does should we not come back.
    var claim: SQL {
        """
        WITH due AS (
            SELECT a.id
              FROM attachments AS a
             WHERE a.org_id = \(organisation) AND a.status IN ('pending', 'erased') AND a.next_attempt_at <= now()
             ORDER BY a.next_attempt_at
             LIMIT 1
               FOR UPDATE SKIP LOCKED
        )
        UPDATE attachments AS a
           SET attempts = a.attempts + 1, next_attempt_at = now() + make_interval(secs => \(Self.lease)::integer)
          FROM due, messages AS m, channels AS c
         WHERE a.org_id = \(organisation) AND a.id = due.id AND m.org_id = a.org_id AND m.id = a.message_id
           AND c.org_id = m.org_id AND c.id = m.channel_id
        RETURNING a.id, a.message_id, a.place, a.type, a.url, a.media::text AS media, a.mime_type, a.status, a.attempts,
                  a.created_at, c.id AS channel_id, c.type AS channel_type, c.credentials, c.settings::text AS settings,
                  c.deleted_at IS NOT NULL AS is_gone
        """
    }

    /// When the next of those that wait is due, as `next`; NULL where none waits.
    var nextDue: SQL {
        """
        SELECT min(a.next_attempt_at) AS next
          FROM attachments AS a
         WHERE a.org_id = \(organisation) AND a.status IN ('pending', 'erased')
        """
    }

    /// Writes that the file is there, and has the message lead to it; a row only where it was still wanted.
    ///
    /// The message first, as where it is taken back: two that take both never wait in a circle.
    func store(_ claimed: ClaimedAttachment, _ file: FetchedFile, address: String) -> [SQL] {
        [
            """
            SELECT 1 FROM messages AS m
             WHERE m.org_id = \(organisation) AND m.id = \(claimed.message)
               FOR NO KEY UPDATE
            """,
            """
            WITH stored AS (
                UPDATE attachments AS a
                   SET status = 'stored', content_type = \(file.contentType), size = \(file.size)::bigint,
                       sha256 = \(file.digest)::bytea, stored_at = now(), error = NULL, url = NULL, media = NULL
                 WHERE a.org_id = \(organisation) AND a.id = \(claimed.id) AND a.status = 'pending'
                   AND a.attempts = \(claimed.attempts)
                RETURNING a.id, a.message_id, a.place
            ), shown AS (
                UPDATE messages AS m
                   SET attachments = jsonb_set(
                           m.attachments, ARRAY[s.place::text],
                           m.attachments -> s.place || jsonb_build_object(
                               'url', \(address)::text, 'mimeType', \(file.mimeType)::text, 'size', \(file.size)::bigint
                           )
                       )
                  FROM stored AS s
                 WHERE m.org_id = \(organisation) AND m.id = s.message_id
                RETURNING m.id, m.ticket_id
            ), told AS (
                INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
                SELECT \(organisation)::uuid, 'message.updated', m.id, m.ticket_id,
                       jsonb_build_object('ticketId', m.ticket_id, 'fields', '["attachments"]'::jsonb)
                  FROM shown AS m
            )
            SELECT s.id FROM stored AS s
            """,
        ]
    }

    func fail(_ claimed: ClaimedAttachment, _ reason: String) -> SQL {
        """
        UPDATE attachments AS a
           SET status = 'failed', error = \(reason)
         WHERE a.org_id = \(organisation) AND a.id = \(claimed.id) AND a.status = 'pending'
           AND a.attempts = \(claimed.attempts)
        """
    }

    func postpone(_ claimed: ClaimedAttachment, by pause: Duration, _ reason: String) -> SQL {
        """
        UPDATE attachments AS a
           SET next_attempt_at = now() + make_interval(secs => \(pause.inSeconds)::double precision), error = \(reason)
         WHERE a.org_id = \(organisation) AND a.id = \(claimed.id) AND a.status = 'pending'
           AND a.attempts = \(claimed.attempts)
        """
    }

    /// Forgets one whose file has been deleted.
    func forget(_ claimed: ClaimedAttachment) -> SQL {
        """
        DELETE FROM attachments AS a
         WHERE a.org_id = \(organisation) AND a.id = \(claimed.id) AND a.status = 'erased'
           AND a.attempts = \(claimed.attempts)
        """
    }

    /// What ``GetAttachment`` answers by.
    func find(_ id: AttachmentFile.ID) -> SQL {
        """
        SELECT a.status, a.error, a.name, a.content_type, encode(a.sha256, 'hex') AS digest
          FROM attachments AS a
         WHERE a.org_id = \(organisation) AND a.id = \(id) AND a.status <> 'erased'
        """
    }
}

/// A file that is to be fetched, or deleted, by us for as long as the lease holds.
struct ClaimedAttachment: Sendable {
    let id: AttachmentFile.ID
    let message: Message.ID
    /// `image`, `video` …
    let type: String
    let url: String?
    let media: String?
    let mimeType: String?
    let isErased: Bool
    let attempts: Int
    let createdAt: Date
    let channelKind: String
    /// `nil` where the channel has been deleted.
    let account: ChannelAccount?

    init(_ row: PostgresRow, _ sealed: Sealed) throws {
        id = try row.get("id")
        message = try row.get("message_id")
        type = try row.get("type")
        url = try row.optional("url")
        media = try row.optional("media")
        mimeType = try row.optional("mime_type")
        isErased = try row.get("status", as: String.self) == "erased"
        attempts = try row.get("attempts")
        createdAt = try row.get("created_at")
        channelKind = try row.get("channel_type")
        let channel = try row.get("channel_id", as: Channel.ID.self)
        account =
            try row.get("is_gone", as: Bool.self)
            ? nil
            : ChannelAccount(
                channel,
                settings: try row.get("settings"),
                credentials: try ChannelCredentials.open(row.optional("credentials"), of: channel, with: sealed)
            )
    }
}

/// What came, as it was found to be.
struct FetchedFile: Sendable {
    let file: SpoolFile
    let size: Int
    let digest: [UInt8]
    /// As the message shows it.
    let mimeType: String
    /// As it is served.
    let contentType: String
}
