import Connectors
import Foundation
import Functions
import Logging
import Postgres
import Queue
import Redis
import Security

/// Sends a campaign to its recipients, one range of them after another, at the pace of the channel and the campaign.
///
/// `send-campaign-batch` in functions.yaml: `queue: campaigns`. The job only names the campaign: which recipients there are, and who is
/// at them, the database says. A range is taken under a lease; of each group in it the attempts are recorded, then the
/// connector sends, and what became of them is written by one statement. Whether the campaign runs, who has opted out and who
/// got too many is looked at with every group, so pausing and cancelling hold at once.
///
/// Of an attempt that was never answered (its process died) nobody knows the outcome: where the connector takes a repetition as
/// the same message it is sent again, elsewhere the recipient becomes failed with `outcome_unknown`.
///
/// A job ends as done when nothing is left or enough others are at it, and as snoozed when its time is up or the next
/// recipients have to wait a little. A surplus job is harmless; ``StartCampaigns`` adds those that died with their workers, and
/// ``SweepWork`` those that are lost.
struct SendCampaignBatch: QueueFunction {
    struct Payload: Decodable, Sendable {
        let orgId: Organisation.ID
        let campaignId: Campaign.ID
    }

    static let queue = "campaigns"

    /// How many ranges of one campaign are sent at once, at most.
    static let parallelism = 4

    /// Seconds after which a job makes room for others; well below the function's timeout, since what it began then still ends.
    private static let slice = 10.0

    static let payload = Shape<Payload>(
        body: .json([
            .required("orgId", .uuid, doc: "where the campaign is looked for; grants nothing"),
            .required("campaignId", .uuid),
        ])
    )

    /// One more for a campaign whose jobs died, of which there are never more than the ranges that are sent at once.
    static func helper(for campaign: Campaign.ID, of organisation: Organisation.ID) -> NewJob {
        var helper = job(for: campaign, of: organisation, trace: nil)
        helper.id = "help-\(campaign)-\(Int.random(in: 1...parallelism))"
        helper.keepCompleted = .nothing
        helper.keepFailed = .nothing
        return helper
    }

    static func job(for campaign: Campaign.ID, of organisation: Organisation.ID, trace: String?) -> NewJob {
        let data: JSON = ["orgId": .string(organisation.description), "campaignId": .string(campaign.description)]
        return NewJob(
            name: name,
            data: data.text,
            organisation: organisation.uuid,
            trace: trace.flatMap { $0.isEmpty ? nil : $0 }
        )
    }

    func handle(_ job: Work<Payload>, in context: WorkContext) async throws -> Outcome {
        let scope = context.organisation(job.payload.orgId, trace: job.trace)
        let store = CampaignSendStore(job.payload.orgId, campaign: job.payload.campaignId, holder: UUID.v7())
        // Only so long, so that many campaigns share few workers; what is left goes on at once.
        let end = context.now.addingTimeInterval(Self.slice)
        while context.now < end {
            switch try CampaignStep(try await scope.query(store.claim), context.services.sealed) {
            case .idle: return .done()
            case .later(let due):
                let pause = due.timeIntervalSince(context.now)
                // A longer wait is the sweep's business: a job that sleeps for hours would only pile up beside others.
                return pause > 60 ? .done() : .snooze(.milliseconds(max(50, Int64(pause * 1000))))
            case .finished:
                _ = try await scope.query(CampaignStore(job.payload.orgId).complete(job.payload.campaignId))
                return .done()
            case .end(let outcome):
                let ended = try await scope.run([
                    CampaignStore(job.payload.orgId).end(job.payload.campaignId, as: outcome, most: 5000),
                    CampaignStore(job.payload.orgId).complete(job.payload.campaignId),
                ])
                if try ended[0][0].get("ended", as: Int.self) == 0 { return .done() }
            case .send(let range):
                let run = CampaignRun(range, store: store, scope: scope, context: context, end: end)
                guard try await run.send() else { return .done() }
            }
        }
        return .snooze(.milliseconds(1))
    }
}
