import Foundation
import Functions
import Logging
import Postgres

/// Adds those whom a campaign is to be sent to: ten thousand as JSON, a million as CSV or NDJSON.
///
/// `add-recipients` in functions.yaml: `POST /orgs/:orgId/campaigns/:id/recipients`, admins only. Rows are checked while they arrive and kept
/// on disk, so memory stays bounded and no connection to the database waits for a slow caller; a body that is cut off leaves
/// nothing. Then they are copied into a temporary table, and contacts, identities and recipients are made in one transaction. A
/// row that can't be read is told by its number, not an error; who is in the campaign already, by whatever id, is a duplicate.
///
/// - Throws: ``Failure/notFound(_:)``; ``Failure/conflict(_:)`` unless the campaign is a draft or scheduled; ``Failure/invalid(_:_:)`` for a CSV
///   without a column that tells the recipient; 413 for more than a million rows.
struct AddRecipients: HTTPFunction {
    struct Input: Decodable, Sendable {
        let id: Campaign.ID
        let recipients: [JSON]?
    }

    static let csv = "text/csv"
    static let lines = "application/x-ndjson"

    static let input = Shape<Input>(
        path: [.required("id", .uuid)],
        body: .json([
            .required(
                "recipients",
                .list(.json, 1...10_000),
                doc: "`{phone | handle, name?, variables?}` each",
                example: [["phone": "+14155550123", "name": "Jane Doe", "variables": ["city": "Berlin"]]]
            )
        ]),
        streams: [csv, lines]
    )

    static let record = Record(
        "AddedRecipients",
        [
            .init("added", .integer, doc: "with those who have opted out"),
            .init("duplicates", .integer),
            .init("optedOut", .integer),
            .init(
                "invalid",
                .list(Record("InvalidRow", [.init("row", .integer, doc: "from 1"), .init("message", .text)])),
                doc: "the first hundred"
            ),
            .init("invalidCount", .integer),
        ]
    )
    static let output: OutputDeclaration = .object(record)

    /// For a million rows on a small machine that has other work.
    private static let timeout = Duration.seconds(300)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let rows = try await context.query(CampaignStore(organisation).find(input.id))
        guard let status = try rows.first?.get("status", as: String.self) else { throw Failure.notFound("campaign") }
        try Self.check(status)

        let upload: RecipientUpload
        if let recipients = input.recipients {
            upload = try await RecipientUpload(recipients)
        } else if let stream = context.request.stream {
            let type = context.request.header("content-type") ?? ""
            let isCSV = type.lowercased().hasPrefix(Self.csv)
            upload = try await isCSV ? RecipientUpload(csv: stream) : RecipientUpload(lines: stream)
        } else {
            throw Failure.invalid("/recipients", "is required")
        }
        for attempt in 1... {
            do {
                let answer = try await context.transaction(timeout: Self.timeout) { transaction in
                    let counts = try await Self.store(upload, for: input.id, in: transaction)
                    return Self.answer(counts, upload)
                }
                await Self.tellPlanner(of: upload.count, context)
                return answer
            } catch let error as PostgresError where error.isTransient && attempt < 5 {
                // Somebody made one of the contacts at the same time: now it is known.
            }
        }
        throw CancellationError()
    }

    /// Before anybody is sent to. The upload holds in any case: without it autovacuum does the same, only later.
    private static func tellPlanner(of rows: Int, _ context: HTTPContext) async {
        do {
            _ = try await context.query("SELECT analyze_uploads(\(rows)::bigint)")
        } catch {
            context.logger.notice("statistics of an upload wait for autovacuum", metadata: ["error": "\(error)"])
        }
    }

    private static func check(_ status: String) throws(Failure) {
        guard status == "draft" || status == "scheduled" else {
            throw Failure.conflict("The campaign is \(status), so it takes no more recipients.")
        }
    }

    private struct Counts {
        var added = 0
        var duplicates = 0
        var optedOut = 0
    }

    private static func store(
        _ upload: RecipientUpload,
        for id: Campaign.ID,
        in transaction: Transaction
    ) async throws -> Counts {
        let org = transaction.organisation
        // One upload of a campaign at a time, so that what is there already stays what was looked at.
        let locked = try await transaction.query(
            """
            SELECT c.status, c.channel_id, n.total
              FROM campaigns AS c
              JOIN campaign_counters AS n ON n.org_id = c.org_id AND n.campaign_id = c.id
             WHERE c.org_id = \(org) AND c.id = \(id)
               FOR NO KEY UPDATE OF c
            """
        )
        guard let campaign = locked.first else { throw Failure.notFound("campaign") }
        try check(try campaign.get("status"))
        guard upload.count > 0 else { return Counts() }
        let channel: Channel.ID = try campaign.get("channel_id")
        let total: Int = try campaign.get("total")

        _ = try await transaction.query(UploadStatements.table)
        _ = try await transaction.copyIn(UploadStatements.copy, upload.chunks)
        let results = try await transaction.run(
            UploadStatements(organisation: org, campaign: id, channel: channel, total: total).all
        )
        guard results[2].affected == results[3].affected else {
            throw PostgresError(.server, "a contact was made by another transaction", sqlState: "40001")
        }
        var counts = Counts()
        counts.added = try results[5][0].get("added")
        counts.optedOut = try results[5][0].get("opted_out")
        counts.duplicates = upload.count - counts.added
        guard counts.added > 0 else { return counts }
        let after = total + counts.added
        _ = try await transaction.run([
            "UPDATE campaigns SET updated_at = now() WHERE org_id = \(org) AND id = \(id)",
            transaction.auditing(
                "campaign.recipients",
                id.uuid,
                changes: [
                    AuditChange("recipientCount", from: .number(String(total)), to: .number(String(after)))
                ]
            ),
            transaction.announcing("campaign.updated", id.uuid, facts: ["fields": ["recipientCount"]]),
        ])
        return counts
    }

    private static func answer(_ counts: Counts, _ upload: RecipientUpload) -> Answer {
        Answer.object { writer in
            writer.member("added", counts.added)
            writer.member("duplicates", counts.duplicates)
            writer.member("optedOut", counts.optedOut)
            writer.name("invalid")
            writer.array {
                for fault in upload.invalid {
                    $0.object {
                        $0.member("row", fault.row)
                        $0.member("message", fault.message)
                    }
                }
            }
            writer.member("invalidCount", upload.invalidCount)
        }
    }
}
