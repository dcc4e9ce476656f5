import Functions
import Postgres

/// Ends a campaign for good: who hasn't been sent to won't be.
///
/// `cancel-campaign` in functions.yaml: `POST /orgs/:orgId/campaigns/:id/cancel`, admins only. The first thousands become `cancelled` with
/// the answer, more of them by ``SendCampaignBatch``; who is being sent to at that moment gets their own end state.
///
/// - Throws: ``Failure/notFound(_:)``; ``Failure/conflict(_:)`` for one that has ended.
struct CancelCampaign: HTTPFunction {
    /// As many as one statement changes well within a request's time.
    static let most = 5000

    static let input = Shape<CampaignPath>(path: [.required("id", .uuid)])
    static let output: OutputDeclaration = .object(Campaign.record, status: 202)

    func handle(_ input: CampaignPath, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let change = CampaignChange(input.id, in: transaction)
            let campaign = try await change.lock()
            guard !["completed", "cancelled"].contains(campaign.status) else {
                throw change.conflict(campaign, "cancel")
            }
            let answer = try await change.move(from: campaign, to: "cancelled", action: "campaign.cancel")
            let store = CampaignStore(transaction.organisation)
            _ = try await transaction.query(store.end(input.id, as: "cancelled", most: Self.most))
            transaction.enqueueCampaign(input.id)
            return answer
        }
    }
}
