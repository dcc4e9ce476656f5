import Foundation
import Functions
import Logging
import Postgres
import Queue

/// Erases a person: who they are, what they wrote and what was written to them.
///
/// `erase-contact` in functions.yaml: `DELETE /orgs/:orgId/contacts/:contactId`, admins only. Gone with the answer are the contact's
/// name, number, address and ids, the text and attachments of every message of its tickets (notes included), the tickets'
/// subjects (in the audit too), stored answers that tell of them, inbound jobs that failed, and those that wait in the queue.
/// Rows, numbers, times and statuses stay, so what was counted stays countable. The audit entry is the receipt; it tells no values.
///
/// Jobs that were accepted before are dropped: one that runs at that moment finds the person erased when it has stored
/// its message, and takes that back. A message that is accepted later is a new contact's. Killed between the commit and the queue,
/// ``FinishErasures`` does the rest.
///
/// - Throws: ``Failure/notFound(_:)`` when the contact is absent, gone or another organisation's. While Redis is away nothing is
///   erased, and its error tells the host to answer 503.
struct EraseContact: HTTPFunction {
    struct Input: Decodable, Sendable {
        let contactId: Contact.ID
    }

    static let input = Shape<Input>(path: [.required("contactId", .uuid)])

    static let output: OutputDeclaration = .object(
        Record("ErasureReceipt", [.init("erasureId", .uuid, doc: "for the organisation's records")]),
        status: 202
    )

    /// How often it is run again where it and a message that came in waited for each other.
    private static let rounds = 5

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let until = try await context.services.producer.acceptedSoFar(in: ReceiveMessage.queue)
        let id = Erasure.ID()
        let answer = try await erase(input.contactId, id, acceptedUntil: until, in: context)
        do {
            try await Erasure.clearQueue(of: id, in: try context.scope())
        } catch {
            context.logger.warning(
                "an erased sender's jobs are still queued; the schedule takes them out",
                metadata: ["erasure": "\(id)", "error": "\(error)"]
            )
        }
        return answer
    }

    private func erase(
        _ contact: Contact.ID,
        _ id: Erasure.ID,
        acceptedUntil until: Int64,
        in context: HTTPContext
    ) async throws -> Answer {
        for round in 1... {
            do {
                return try await context.transaction { transaction in
                    try await Self.erase(contact, id, acceptedUntil: until, in: transaction)
                    return Answer.object(status: 202) { $0.member("erasureId", id) }
                }
            } catch let error as PostgresError where error.isTransient && round < Self.rounds {
                continue
            }
        }
        throw Failure.unavailable("The contact is busy. Try again.")
    }

    private static func erase(
        _ contact: Contact.ID,
        _ id: Erasure.ID,
        acceptedUntil until: Int64,
        in transaction: Transaction
    ) async throws {
        let organisation = transaction.organisation
        let sealed = transaction.scope.services.sealed
        let found = try await transaction.run([
            ReceiveMessage.lockUnprocessed(of: organisation),
            """
            SELECT 1
              FROM contacts
             WHERE org_id = \(organisation) AND id = \(contact) AND gone_at IS NULL
               FOR UPDATE
            """,
            """
            SELECT CASE kind WHEN 'former' THEN NULL ELSE channel_id END AS channel_id,
                   CASE kind WHEN 'former' THEN 'phone' ELSE kind END AS kind, value
              FROM contact_identities
             WHERE org_id = \(organisation) AND contact_id = \(contact)
            """,
        ])
        guard !found[1].isEmpty else { throw Failure.notFound("contact") }
        let values = try found[2].map { try $0.get("value", as: String.self) }
        let hashes = try found[2].map { row in
            Erasure.digest(
                try row.optional("channel_id"),
                try row.get("kind"),
                try row.get("value"),
                in: organisation,
                with: sealed
            )
        }
        let emptied = try await transaction.run([
            "SELECT unnest(erase_contact(\(organisation)::uuid, \(contact)::uuid)) AS ticket_id",
            "SELECT erase_audited_subjects(\(contact)::uuid)",
            "INSERT INTO erasures (org_id, id, accepted_until) VALUES (\(organisation), \(id), \(until))",
            """
            INSERT INTO erased_identities (org_id, hash, erasure_id)
            SELECT DISTINCT \(organisation)::uuid, x.hash, \(id)::uuid FROM unnest(\(hashes)::bytea[]) AS x (hash)
            """,
            transaction.auditing("contact.erase", contact.uuid),
        ])
        let tickets = try emptied[0].map { try $0.get("ticket_id", as: UUID.self) }
        // The key stays used: a retry must not do again what was done.
        _ = try await transaction.query(
            """
            UPDATE idempotency_keys
               SET answer = NULL, headers = NULL, status = 409, mentions = '{}'
             WHERE org_id = \(organisation) AND status IS NOT NULL AND mentions && \(tickets + [contact.uuid])::uuid[]
            """
        )
        try await eraseUnprocessed(of: Set(hashes), values, in: transaction)
        // The files go right after; those that are coming at this moment when they are there.
        transaction.enqueueOnce(
            FetchAttachments.job(for: organisation, trace: transaction.origin.requestId),
            to: FetchAttachments.queue
        )
    }

    /// Deletes the kept jobs whose sender it is; of one that can't be read, where it holds any of the person's ids.
    private static func eraseUnprocessed(
        of hashes: Set<[UInt8]>,
        _ values: [String],
        in transaction: Transaction
    ) async throws {
        let organisation = transaction.organisation
        let sealed = transaction.scope.services.sealed
        var last = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
        while true {
            let rows = try await transaction.query(
                """
                SELECT id, data
                  FROM unprocessed_events
                 WHERE org_id = \(organisation) AND id > \(last)
                 ORDER BY id
                 LIMIT 100
                """
            )
            guard !rows.isEmpty else { return }
            var theirs: [UUID] = []
            for row in rows {
                last = try row.get("id")
                let data = try row.get("data", as: String.self)
                let digests = Erasure.digests(ofJob: data, in: organisation, with: sealed)
                if digests.isEmpty ? values.contains(where: data.contains) : digests.contains(where: hashes.contains) {
                    theirs.append(last)
                }
            }
            guard !theirs.isEmpty else { continue }
            _ = try await transaction.query(
                "DELETE FROM unprocessed_events WHERE org_id = \(organisation) AND id = ANY (\(theirs)::uuid[])"
            )
        }
    }
}
