import Functions
import Logging
import Postgres
import Queue

/// Adds a job for every organisation whose endpoints wait for something: retries that are due, and what a lost job left.
///
/// `sweep-webhooks` in functions.yaml: every minute. Running it twice at once does no harm.
struct SweepWebhooks: ScheduledFunction {
    func run(in context: WorkContext) async throws {
        let rows = try await context.services.postgres.query("SELECT org_id FROM find_waiting_webhooks()")
        let jobs = try rows.map { DeliverWebhooks.job(for: try $0.get("org_id"), trace: nil) }
        guard !jobs.isEmpty else { return }
        _ = try await context.services.producer.add(jobs, to: DeliverWebhooks.queue)
    }
}
