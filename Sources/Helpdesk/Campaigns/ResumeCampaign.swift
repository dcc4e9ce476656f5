import Functions
import Postgres

/// Goes on with a paused campaign.
///
/// `resume-campaign` in functions.yaml: `POST /orgs/:orgId/campaigns/:id/resume`, admins only.
///
/// - Throws: ``Failure/notFound(_:)``; ``Failure/conflict(_:)`` unless it is paused on a channel that may send.
struct ResumeCampaign: HTTPFunction {
    static let input = Shape<CampaignPath>(path: [.required("id", .uuid)])
    static let output: OutputDeclaration = .object(Campaign.record, status: 202)

    func handle(_ input: CampaignPath, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let change = CampaignChange(input.id, in: transaction)
            let campaign = try await change.lock()
            guard campaign.status == "paused" else { throw change.conflict(campaign, "resume") }
            guard campaign.mayChannelSend else {
                throw Failure.conflict("The campaign's channel is deleted or disabled.")
            }
            transaction.enqueueCampaign(input.id)
            return try await change.move(from: campaign, to: "running", action: "campaign.resume")
        }
    }
}
