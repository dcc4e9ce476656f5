import Foundation
import Functions
import Logging
import Postgres
import Queue

/// Adds the jobs again whose tickets have had a message queued for too long, those of mails, and those of campaigns that nobody
/// is at: what the database holds must happen, even where Redis lost what named it.
///
/// `sweep-work` in functions.yaml: every minute. Running it twice at once does no harm: a surplus job finds nothing to do.
struct SweepWork: ScheduledFunction {
    /// Seconds past the moment when a message might have been tried.
    private static let patience = 30
    private static let most = 1000

    func run(in context: WorkContext) async throws {
        try await sweepTickets(context)
        try await sweepMails(context)
        try await sweepCampaigns(context)
    }

    private func sweepCampaigns(_ context: WorkContext) async throws {
        let rows = try await context.services.postgres.query(
            "SELECT org_id, campaign_id FROM find_waiting_campaigns(\(Self.most)::integer)"
        )
        let jobs = try rows.map { row in
            SendCampaignBatch.job(for: try row.get("campaign_id"), of: try row.get("org_id"), trace: nil)
        }
        guard !jobs.isEmpty else { return }
        _ = try await context.services.producer.add(jobs, to: SendCampaignBatch.queue)
    }

    private func sweepTickets(_ context: WorkContext) async throws {
        let rows = try await context.services.postgres.query(
            """
            SELECT org_id, ticket_id
              FROM find_waiting_tickets(make_interval(secs => \(Self.patience)::integer), \(Self.most)::integer)
            """
        )
        let jobs = try rows.map { row in
            DeliverMessage.job(for: try row.get("ticket_id"), of: try row.get("org_id"), trace: nil)
        }
        guard !jobs.isEmpty else { return }
        _ = try await context.services.producer.add(jobs, to: DeliverMessage.queue)
        context.logger.notice("tickets waited for their messages to be sent", metadata: ["tickets": "\(jobs.count)"])
    }

    private func sweepMails(_ context: WorkContext) async throws {
        let rows = try await context.services.postgres.query(
            """
            SELECT org_id, mail_id
              FROM find_waiting_mails(make_interval(secs => \(Self.patience)::integer), \(Self.most)::integer)
            """
        )
        let jobs = try rows.map { row in
            DeliverMail.job(for: try row.get("mail_id"), of: try row.get("org_id"), trace: nil)
        }
        guard !jobs.isEmpty else { return }
        _ = try await context.services.producer.add(jobs, to: DeliverMail.queue)
        context.logger.notice("mails waited to be sent", metadata: ["mails": "\(jobs.count)"])
    }
}
