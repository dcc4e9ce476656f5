import Foundation
import Functions
import Postgres
import Queue

/// Starts a campaign now, or schedules it.
///
/// `start-campaign` in functions.yaml: `POST /orgs/:orgId/campaigns/:id/start`, admins only. ``SendCampaignBatch`` sends it; what Redis
/// loses the sweep adds again.
///
/// - Throws: ``Failure/notFound(_:)``; ``Failure/invalid(_:_:)`` for a time that has passed; ``Failure/conflict(_:)`` unless it is a draft
///   with recipients on a channel that may send.
struct StartCampaign: HTTPFunction {
    struct Input: Decodable, Sendable {
        let id: Campaign.ID
        let scheduledAt: Date?
    }

    static let input = Shape<Input>(
        path: [.required("id", .uuid)],
        body: .json(
            [
                .optional(
                    "scheduledAt",
                    .time,
                    doc: "in the future; at once unless told",
                    example: "2126-11-27T08:00:00.000Z"
                )
            ],
            needed: false
        )
    )
    static let output: OutputDeclaration = .object(Campaign.record, status: 202)

    static func check(_ body: JSON, in context: HTTPContext, into check: inout FieldCheck) {
        check.future("scheduledAt", of: body, now: context.now)
    }

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        try await context.transaction { transaction in
            let change = CampaignChange(input.id, in: transaction)
            let campaign = try await change.lock()
            guard campaign.status == "draft" else { throw change.conflict(campaign, "start") }
            guard campaign.total > 0 else { throw Failure.conflict("The campaign has no recipients.") }
            guard campaign.mayChannelSend else {
                throw Failure.conflict("The campaign's channel is deleted or disabled.")
            }
            if let time = input.scheduledAt {
                return try await change.move(
                    from: campaign,
                    to: "scheduled",
                    "scheduled_at = \(time)",
                    action: "campaign.start",
                    [AuditChange("scheduledAt", from: .null, to: .string(time.rfc3339))]
                )
            }
            transaction.enqueueCampaign(input.id)
            return try await change.move(from: campaign, to: "running", "started_at = now()", action: "campaign.start")
        }
    }
}
