import Functions
import Postgres

/// Stops a running campaign until it is resumed; nobody's message begins more than a moment after the answer.
///
/// `pause-campaign` in functions.yaml: `POST /orgs/:orgId/campaigns/:id/pause`, admins only.
///
/// - Throws: ``Failure/notFound(_:)``; ``Failure/conflict(_:)`` unless it is running.
struct PauseCampaign: HTTPFunction {
    static let input = Shape<CampaignPath>(path: [.required("id", .uuid)])
    static let output: OutputDeclaration = .object(Campaign.record, status: 202)

    func handle(_ input: CampaignPath, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let change = CampaignChange(input.id, in: transaction)
            let campaign = try await change.lock()
            guard campaign.status == "running" else { throw change.conflict(campaign, "pause") }
            return try await change.move(from: campaign, to: "paused", action: "campaign.pause")
        }
    }
}
