import Functions
import Logging
import Postgres
import Queue

/// Starts the scheduled campaigns whose time has come, and adds jobs to those that lost some with their workers.
///
/// `start-campaigns` in functions.yaml: every few seconds. Running it twice at once starts each once.
struct StartCampaigns: ScheduledFunction {
    func run(in context: WorkContext) async throws {
        try await start(context)
        try await help(context)
    }

    /// A job whose worker died comes back in a while, and after some deaths never: until then the others are too few.
    private func help(_ context: WorkContext) async throws {
        let rows = try await context.services.postgres.query(
            """
            SELECT org_id, campaign_id
              FROM find_deserted_campaigns(
                       \(SendCampaignBatch.parallelism)::integer, make_interval(secs => \(CampaignSendStore.lease)::integer)
                   )
            """
        )
        let jobs = try rows.map { row in
            SendCampaignBatch.helper(for: try row.get("campaign_id"), of: try row.get("org_id"))
        }
        guard !jobs.isEmpty else { return }
        _ = try await context.services.producer.add(jobs, to: SendCampaignBatch.queue)
    }

    private func start(_ context: WorkContext) async throws {
        let due = try await context.services.postgres.query("SELECT org_id, campaign_id FROM find_due_campaigns()")
        for row in due {
            let id: Campaign.ID = try row.get("campaign_id")
            try await context.organisation(try row.get("org_id")).transaction { transaction in
                let started = try await transaction.query(
                    """
                    UPDATE campaigns
                       SET status = 'running', started_at = now(), updated_at = now()
                     WHERE org_id = \(transaction.organisation) AND id = \(id) AND status = 'scheduled' AND scheduled_at <= now()
                    """
                )
                guard started.affected > 0 else { return }
                let facts: JSON = [
                    "fields": ["status", "startedAt"], "status": ["from": "scheduled", "to": "running"],
                ]
                _ = try await transaction.query(transaction.announcing("campaign.updated", id.uuid, facts: facts))
                transaction.enqueueCampaign(id)
            }
            context.logger.info("a campaign started as scheduled", metadata: ["campaign": "\(id)"])
        }
    }
}
