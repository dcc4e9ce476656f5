import Functions
import Postgres
import Queue
import Security

/// A mail to a person, before it is one of the `mails`.
struct Letter: Sendable, Equatable {
    let recipient: String
    let subject: String
    let text: String
    /// How long what it says is worth anything; it isn't tried for longer than that.
    let lifetime: Duration

    init(to recipient: String, subject: String, text: String, lifetime: Duration) {
        self.recipient = recipient
        self.subject = subject
        self.text = text
        self.lifetime = lifetime
    }
}

extension Transaction {
    /// The statement that stores a mail; ``DeliverMail`` sends it once the transaction has committed.
    func mailing(_ letter: Letter) -> SQL {
        let id = StoredMail.ID()
        let content: JSON = ["subject": .string(letter.subject), "text": .string(letter.text)]
        let sealed = scope.services.sealed.seal(Array(content.text.utf8), for: StoredMail.sealContext(id))
        enqueue(DeliverMail.job(for: id, of: organisation, trace: origin.requestId), to: DeliverMail.queue)
        return """
            INSERT INTO mails (org_id, id, recipient, content, expires_at)
            VALUES (\(organisation), \(id), \(letter.recipient), \(sealed),
                    now() + make_interval(secs => \(letter.lifetime.inSeconds)::double precision))
            """
    }
}
