import Functions
import Postgres
import Queue

/// The input of an endpoint that takes a campaign and nothing else.
struct CampaignPath: Decodable, Sendable {
    let id: Campaign.ID
}

/// A change of a campaign's status inside one transaction.
struct CampaignChange {
    /// A campaign under its lock.
    struct Locked: Sendable {
        let status: String
        let total: Int
        let mayChannelSend: Bool
    }

    private let id: Campaign.ID
    private let transaction: Transaction
    private let store: CampaignStore

    init(_ id: Campaign.ID, in transaction: Transaction) {
        self.id = id
        self.transaction = transaction
        store = CampaignStore(transaction.organisation)
    }

    /// - Throws: ``Failure/notFound(_:)`` when the campaign is absent or another organisation's.
    func lock() async throws -> Locked {
        guard let row = try await transaction.query(store.lock(id)).first else { throw Failure.notFound("campaign") }
        return Locked(
            status: try row.get("status"),
            total: try row.get("total"),
            mayChannelSend: try row.get("is_active")
        )
    }

    func conflict(_ campaign: Locked, _ verb: String) -> Failure {
        Failure.conflict("The campaign is \(campaign.status), so there is nothing to \(verb).")
    }

    /// Writes the new status with one audit entry and one event, and answers 202 with the campaign.
    func move(
        from old: Locked,
        to status: String,
        _ assignment: SQL? = nil,
        action: String,
        _ more: [AuditChange] = []
    ) async throws -> Answer {
        let change = AuditChange("status", from: .string(old.status), to: .string(status))
        let facts: JSON = [
            "fields": ["status"], "status": ["from": .string(old.status), "to": .string(status)],
        ]
        let rows = try await transaction.run([
            store.move(id, to: status, assignment),
            transaction.auditing(action, id.uuid, changes: [change] + more),
            transaction.announcing("campaign.updated", id.uuid, facts: facts),
            store.find(id),
        ])
        return Answer.row(rows[3], Campaign.record, status: 202)
    }
}

extension Transaction {
    /// Has ``SendCampaignBatch`` look at the campaign once this has committed.
    func enqueueCampaign(_ id: Campaign.ID) {
        let job = { SendCampaignBatch.job(for: id, of: self.organisation, trace: self.origin.requestId) }
        for _ in 0..<SendCampaignBatch.parallelism { enqueue(job(), to: SendCampaignBatch.queue) }
    }
}
