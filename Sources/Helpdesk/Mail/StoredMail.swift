import Foundation
import Functions
import Mail
import Postgres
import Security

/// A `mails` row, and the statements on it for whoever sends it.
struct StoredMail: Sendable {
    typealias ID = Identifier<StoredMail>

    let id: ID
    let recipient: String
    let subject: String
    let text: String
    let createdAt: Date
    /// How many tries have begun, this one included.
    let attempts: Int

    static func sealContext(_ id: ID) -> String { "mail:\(id)" }

    /// - Throws: ``SealedError`` for content that can't be opened.
    init(_ row: PostgresRow, _ sealed: Sealed) throws {
        id = try row.get("id")
        recipient = try row.get("recipient")
        createdAt = try row.get("created_at")
        attempts = try row.get("attempts")
        let content = try JSON.parse(sealed.open(row.get("content"), for: Self.sealContext(id)))
        subject = content["subject"]?.string ?? ""
        text = content["text"]?.string ?? ""
    }
}

/// The statements on one organisation's mails, for one try of one mail.
struct MailStore {
    /// Seconds; longer than a try may take.
    static let lease = 120

    private let organisation: Organisation.ID
    private let id: StoredMail.ID
    private let holder: UUID

    init(_ organisation: Organisation.ID, mail id: StoredMail.ID, holder: UUID) {
        self.organisation = organisation
        self.id = id
        self.holder = holder
    }

    /// Begins a try: a row where the mail is to be sent now and nobody else is at it.
    var claim: SQL {
        """
        UPDATE mails
           SET attempts = attempts + 1, lease = \(holder),
               leased_until = now() + make_interval(secs => \(Self.lease)::integer)
         WHERE org_id = \(organisation) AND id = \(id) AND status = 'queued' AND next_attempt_at <= now()
           AND (leased_until IS NULL OR leased_until < now())
        RETURNING id, recipient, content, created_at, attempts
        """
    }

    /// When a queued mail is to be looked at again, as `due_at`; no row for one that is done with.
    var due: SQL {
        """
        SELECT greatest(next_attempt_at, leased_until) AS due_at
          FROM mails
         WHERE org_id = \(organisation) AND id = \(id) AND status = 'queued'
        """
    }

    /// Erases the text: what was sent is nobody's business any more.
    var markSent: SQL {
        """
        UPDATE mails
           SET status = 'sent', content = NULL, sent_at = now(), lease = NULL, leased_until = NULL, error = NULL
         WHERE org_id = \(organisation) AND id = \(id) AND status = 'queued'
        """
    }

    func markFailed(_ error: String) -> SQL {
        """
        UPDATE mails
           SET status = 'failed', content = NULL, lease = NULL, leased_until = NULL, error = \(error)
         WHERE org_id = \(organisation) AND id = \(id) AND status = 'queued' AND lease = \(holder)
        """
    }

    /// Leaves it for later; what has lost its worth by then fails. Returns the `status`.
    func postpone(by pause: Duration, because error: String) -> SQL {
        let pause: SQL = "make_interval(secs => \(pause.inSeconds)::double precision)"
        return """
            UPDATE mails
               SET status = CASE WHEN now() + \(raw: pause) < expires_at THEN 'queued' ELSE 'failed' END,
                   content = CASE WHEN now() + \(raw: pause) < expires_at THEN content END,
                   next_attempt_at = now() + \(raw: pause), lease = NULL, leased_until = NULL, error = \(error)
             WHERE org_id = \(organisation) AND id = \(id) AND status = 'queued' AND lease = \(holder)
            RETURNING status
            """
    }
}
