import Functions
import Postgres
import Queue

/// Adds a job for every organisation with files that wait to be fetched or deleted: tries that are due, and what a lost job left.
///
/// `sweep-attachments` in functions.yaml: every minute. Running it twice at once does no harm.
struct SweepAttachments: ScheduledFunction {
    func run(in context: WorkContext) async throws {
        let rows = try await context.services.postgres.query("SELECT org_id FROM find_waiting_attachments()")
        let jobs = try rows.map { FetchAttachments.job(for: try $0.get("org_id"), trace: nil) }
        guard !jobs.isEmpty else { return }
        _ = try await context.services.producer.add(jobs, to: FetchAttachments.queue)
    }
}
