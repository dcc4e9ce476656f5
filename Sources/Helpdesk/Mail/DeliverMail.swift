import Foundation
import Functions
import Logging
import Mail
import Postgres
import Queue
import Security

/// Sends a stored mail by the operator's mail server, or writes it into a folder where there is none.
///
/// `deliver-mail` in functions.yaml: `queue: mail`. The job only names the row. A try is recorded under a lease before it
/// begins; what the server refuses for good fails at once, everything else is tried again with a growing pause until the
/// mail has lost its worth. A try whose outcome was lost (its process died) is made again with the same Message-ID. Once a
/// mail is sent or has failed its text is erased.
///
/// A job ends as done when the mail is done with, as snoozed until it may be tried again, or as failed, and tried again,
/// when the database is away. A surplus job is harmless.
struct DeliverMail: QueueFunction {
    struct Payload: Decodable, Sendable {
        let orgId: Organisation.ID
        let mailId: StoredMail.ID
    }

    static let queue = "mail"

    static let payload = Shape<Payload>(
        body: .json([
            .required("orgId", .uuid, doc: "where the mail is looked for; grants nothing"),
            .required("mailId", .uuid),
        ])
    )

    static func job(for mail: StoredMail.ID, of organisation: Organisation.ID, trace: String?) -> NewJob {
        let data: JSON = ["orgId": .string(organisation.description), "mailId": .string(mail.description)]
        return NewJob(
            name: name,
            data: data.text,
            organisation: organisation.uuid,
            trace: trace.flatMap { $0.isEmpty ? nil : $0 }
        )
    }

    func handle(_ job: Work<Payload>, in context: WorkContext) async throws -> Outcome {
        let scope = context.organisation(job.payload.orgId, trace: job.trace)
        let store = MailStore(job.payload.orgId, mail: job.payload.mailId, holder: UUID.v7())
        guard let outlet = try MailOutlet(context) else {
            // Nothing is lost: the mail waits in the database, and the sweep comes back to it.
            context.logger.warning("a mail waits: neither MAIL_URL nor MAIL_DIR is set")
            return .done()
        }
        let found = try await scope.run([store.claim, store.due])
        guard let row = found[0].first else {
            guard let due = try found[1].first?.get("due_at", as: Date.self) else { return .done() }
            return .snooze(Self.pause(until: due, context))
        }
        let mail: StoredMail
        do {
            mail = try StoredMail(row, context.services.sealed)
        } catch is SealedError {
            let reason = "its text can't be opened; was ENCRYPTION_KEY changed?"
            return try await postpone(try row.get("id"), try row.get("attempts"), reason, store, scope, context)
        }
        switch await outlet.deliver(mail, context.logger) {
        case .sent:
            _ = try await scope.query(store.markSent)
            return .done()
        case .refused(let reason):
            _ = try await scope.query(store.markFailed(reason))
            context.logger.warning("a mail was refused", metadata: ["mail": "\(mail.id)", "reason": "\(reason)"])
            return .done()
        case .again(let reason):
            return try await postpone(mail.id, mail.attempts, reason, store, scope, context)
        }
    }

    private func postpone(
        _ mail: StoredMail.ID,
        _ attempts: Int,
        _ reason: String,
        _ store: MailStore,
        _ scope: OrganisationScope,
        _ context: WorkContext
    ) async throws -> Outcome {
        let pause = Self.backoff(attempts: attempts)
        let postponed = try await scope.query(store.postpone(by: pause, because: reason))
        let status = try postponed.first?.get("status", as: String.self)
        context.logger.warning(
            status == "failed" ? "a mail was given up" : "a mail could not be sent yet",
            metadata: ["mail": "\(mail)", "attempt": "\(attempts)", "reason": "\(reason)"]
        )
        return status == "queued" ? .snooze(pause) : .done()
    }

    /// 5 s · 2^n, a quarter of an hour at most.
    static func backoff(attempts: Int) -> Duration {
        .seconds(min(900, 5 << min(max(0, attempts - 1), 8)))
    }

    private static func pause(until date: Date, _ context: WorkContext) -> Duration {
        .milliseconds(max(1, Int64((date.timeIntervalSince(context.now) * 1000).rounded(.up))))
    }
}
